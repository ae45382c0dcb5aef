package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// An Issuer makes tokens, and verifies them as API Gateway's JWT authorizer
// does. The key lives in memory only. Safe for concurrent use.
type Issuer struct {
	key      *rsa.PrivateKey
	issuer   string
	audience []string
	now      func() time.Time
}

// keyID names the only key of an issuer.
const keyID = "local"

// Keys is the JSON Web Key Set of the issuer.
func (i *Issuer) Keys() map[string]any {
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes()),
	}}}
}

// NewIssuer makes an issuer with a new key pair.
func NewIssuer(issuer string, audience []string, now func() time.Time) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("generate token key: %w", err)
	}
	return &Issuer{key: key, issuer: issuer, audience: audience, now: now}, nil
}

// Token signs a token that is valid for the given time. Every token has the
// claims iss, aud, iat, nbf and exp. claims adds to these and may replace them;
// the value nil removes a claim.
func (i *Issuer) Token(life time.Duration, claims map[string]any) (string, error) {
	now := i.now()
	all := jwt.MapClaims{
		"iss": i.issuer, "aud": i.audience[0],
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(life).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, all)
	unsigned.Header["kid"] = keyID
	token, err := unsigned.SignedString(i.key)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// verify checks an Authorization header and returns the claims in the form
// that events carry.
func (i *Issuer) verify(header string) (map[string]string, error) {
	token := header
	if scheme, rest, ok := strings.Cut(header, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = rest
	}
	var claims jwt.MapClaims
	_, err := jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return &i.key.PublicKey, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodRS256.Alg()}),
		jwt.WithIssuer(i.issuer), jwt.WithAudience(i.audience...), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithTimeFunc(i.now), jwt.WithJSONNumber())
	if err != nil {
		return nil, err
	}
	out := make(map[string]string, len(claims))
	for name, v := range claims {
		out[name] = claimText(v)
	}
	return out, nil
}

// claimText is a claim in API Gateway's form, which is always a string. A list
// becomes [a b], as Go prints it.
func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return fmt.Sprint(v)
}
