package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/yunduo-scrm/archive/local/wecom/envelope"
)

// callbackLimit is how long WeCom waits for the answer to a verification.
const callbackLimit = time.Second

// smoke asks one API.
type smoke struct {
	base   string // scheme and host
	token  string // empty for none
	corp   string // whose callback is verified; empty for none
	china  bool   // the API is in the partition aws-cn
	client *http.Client
	now    func() time.Time
	say    func(format string, args ...any)
}

// ask asks every question, also after one has failed.
func (s *smoke) ask(ctx context.Context) error {
	return errors.Join(s.health(ctx), s.door(ctx), s.withToken(ctx), s.callback(ctx))
}

// get reads a path of the API, or another address.
func (s *smoke) get(ctx context.Context, address, token string) (status int, body string, err error) {
	if strings.HasPrefix(address, "/") {
		address = s.base + address
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(b), err
}

// advice is what to do about an unexpected status.
func (s *smoke) advice(status int, otherwise string) string {
	if status == http.StatusForbidden && s.china {
		return "API Gateway in China answers this until the account has its ICP recordal (docs/china.md)"
	}
	return otherwise
}

func (s *smoke) health(ctx context.Context) error {
	status, body, err := s.get(ctx, "/health", "")
	if err != nil {
		return fmt.Errorf("health: %w: check the DNS record of the domain (output DomainTarget) and the certificate", err)
	}
	var health struct{ Status, Version string }
	if status != http.StatusOK || json.Unmarshal([]byte(body), &health) != nil || health.Status != "ok" {
		return fmt.Errorf("health: got status %d, want 200 and ok: %s", status, s.advice(status, "see the log of api"))
	}
	s.say("health    ok, version %s at %s", health.Version, s.base)
	return nil
}

// door asks a route that needs a token, without one.
func (s *smoke) door(ctx context.Context) error {
	status, _, err := s.get(ctx, "/v1/session", "")
	if err != nil {
		return fmt.Errorf("without a token: %w", err)
	}
	if status != http.StatusUnauthorized {
		return fmt.Errorf("without a token: got status %d, want 401: %s", status, s.advice(status, "the authorizer is not in place"))
	}
	s.say("no token  refused")
	return nil
}

func (s *smoke) withToken(ctx context.Context) error {
	if s.token == "" {
		s.say("token     not asked: put a token of your issuer into the variable TOKEN")
		return nil
	}
	status, body, err := s.get(ctx, "/v1/session", s.token)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	switch status {
	case http.StatusOK:
		s.say("token     accepted: %s", strings.TrimSpace(body))
		return nil
	case http.StatusUnauthorized:
		return errors.New("token: got status 401: compare iss and aud of the token with JwtIssuer and JwtAudience, its exp with the clock, and its alg with RS256")
	}
	return fmt.Errorf("token: got status %d, want 200: %s", status, s.advice(status, "see the log of api"))
}

// callback verifies the callback address of a company as WeCom's console does: it
// signs and encrypts a text with the company's pair, and wants the text back
// within a second.
func (s *smoke) callback(ctx context.Context) error {
	if s.corp == "" || s.token == "" {
		s.say("callback  not asked: name a company by CORP, with a token of its admin in TOKEN")
		return nil
	}
	status, body, err := s.get(ctx, "/v1/corps/"+s.corp+"/setup", s.token)
	if err != nil {
		return fmt.Errorf("callback: %w", err)
	}
	if status == http.StatusUnauthorized { // withToken has said why
		s.say("callback  not asked: the token is refused")
		return nil
	}
	var setup struct {
		Callback *struct {
			URL, Token     string
			EncodingAESKey string `json:"encoding_aes_key"`
		}
	}
	if status != http.StatusOK || json.Unmarshal([]byte(body), &setup) != nil {
		return fmt.Errorf("callback: the set-up page answers %d, want 200: the token needs the role admin or service, and the company %s", status, s.corp)
	}
	if setup.Callback == nil {
		return fmt.Errorf("callback: %s has no pair yet: open its set-up page once", s.corp)
	}
	key, err := envelope.ParseKey(setup.Callback.EncodingAESKey)
	if err != nil {
		return fmt.Errorf("callback: %w", err)
	}
	text, nonce, at := rand.Text(), rand.Text(), strconv.FormatInt(s.now().Unix(), 10)
	echo := key.Seal([]byte(text), s.corp, [16]byte([]byte(rand.Text())[:16]))
	query := url.Values{"msg_signature": {envelope.Sign(setup.Callback.Token, at, nonce, echo)}, "timestamp": {at}, "nonce": {nonce}, "echostr": {echo}}
	for _, wrong := range []bool{true, false} {
		asked := query
		if wrong {
			asked = url.Values{"msg_signature": {strings.Repeat("0", 40)}, "timestamp": {at}, "nonce": {nonce}, "echostr": {echo}}
		}
		begun := time.Now()
		status, body, err := s.get(ctx, setup.Callback.URL+"?"+asked.Encode(), "")
		took := time.Since(begun)
		switch {
		case err != nil:
			return fmt.Errorf("callback: %w: WeCom reaches the archive at %s only", err, setup.Callback.URL)
		case wrong && status != http.StatusUnauthorized:
			return fmt.Errorf("callback: a wrong signature got status %d, want 401: %s", status, s.advice(status, "see the log of api"))
		case !wrong && (status != http.StatusOK || body != text):
			return fmt.Errorf("callback: got status %d and another text, want 200 and the text: see the log of api", status)
		case !wrong && took > callbackLimit:
			return fmt.Errorf("callback: the answer took %v, and WeCom waits %v: see the runbook SlowCallbacks", took.Round(time.Millisecond), callbackLimit)
		case !wrong:
			s.say("callback  verified at %s in %v", setup.Callback.URL, took.Round(time.Millisecond))
		}
	}
	return nil
}
