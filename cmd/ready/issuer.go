package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// issuerLimit is how long API Gateway waits for the issuer's documents.
const issuerLimit = 1500 * time.Millisecond

// verified are the algorithms that API Gateway verifies: it accepts those that are based
// on RSA, says its documentation.
var verified = []string{"RS256", "RS384", "RS512"}

// issuer reads the documents that API Gateway reads to verify tokens: the
// discovery document, and the keys that it names. API Gateway creates no
// authorizer if the first is unavailable, and refuses every token if the second
// has no RSA key.
func (o *online) issuer(ctx context.Context) error {
	issuer := o.parameters["JwtIssuer"]
	var document struct {
		Issuer     string
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	const path = "/.well-known/openid-configuration"
	if err := o.read(ctx, strings.TrimSuffix(issuer, "/")+path, &document); err != nil {
		return fmt.Errorf("JwtIssuer: %w", err)
	}
	var errs []error
	if document.Issuer != issuer {
		errs = append(errs, fmt.Errorf("JwtIssuer is %q, and its discovery document names %q: set JwtIssuer to what the tokens contain as iss, to the letter", issuer, document.Issuer))
	}
	if len(document.Algorithms) > 0 && !slices.ContainsFunc(document.Algorithms, func(a string) bool { return slices.Contains(verified, a) }) {
		errs = append(errs, fmt.Errorf("JwtIssuer signs with %s, and API Gateway verifies RSA signatures only: let the issuer sign with RS256", strings.Join(document.Algorithms, ", ")))
	}
	if !strings.HasPrefix(document.Keys, "https://") {
		return errors.Join(append(errs, fmt.Errorf("JwtIssuer: the discovery document names no https address of keys (jwks_uri %q)", document.Keys))...)
	}
	var set struct {
		Keys []struct {
			Kind string `json:"kty"`
		}
	}
	if err := o.read(ctx, document.Keys, &set); err != nil {
		return errors.Join(append(errs, fmt.Errorf("JwtIssuer, its keys: %w", err))...)
	}
	rsa := false
	for _, k := range set.Keys {
		rsa = rsa || k.Kind == "RSA"
	}
	if !rsa {
		errs = append(errs, fmt.Errorf("JwtIssuer: %s has no RSA key, and API Gateway verifies RSA signatures only: let the issuer sign with RS256", document.Keys))
	}
	return errors.Join(errs...)
}

// read reads a JSON document within the time that API Gateway has. The time is
// measured on this machine.
func (o *online) read(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, issuerLimit, fmt.Errorf("%s took longer than %v, and API Gateway does not wait longer: make it public and quick", address, issuerLimit))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := o.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s is unreachable: make it public, with a certificate that browsers accept: %w", address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: it must answer 200", address, response.Status)
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(into)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s is no JSON document: %w", address, err)
	}
	return nil
}
