package fcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"
	oauthjwt "golang.org/x/oauth2/jwt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

const scope = "https://www.googleapis.com/auth/firebase.messaging"

// access is an access token and the constant headers that it stands in.
type access struct {
	shape    *bulk.Shape
	obtained time.Time
	expires  time.Time
	renewal  bool // fetched because the one before was refused
}

// source exchanges signed assertions for access tokens (RFC 7523).
type source struct {
	config *oauthjwt.Config
	ctx    context.Context // carries the HTTP client
}

func newSource(ctx context.Context, a account, root []byte, timeout time.Duration) (*source, error) {
	trust, err := bulk.Trust(root)
	if err != nil {
		return nil, err
	}
	client := &http.Client{
		Timeout:       timeout,
		Transport:     ending{ctx, &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true, DisableKeepAlives: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("the token endpoint redirects") },
	}
	return &source{
		ctx: context.WithValue(ctx, oauth2.HTTPClient, client),
		config: &oauthjwt.Config{
			Email: a.ClientEmail, PrivateKey: []byte(a.PrivateKey), PrivateKeyID: a.PrivateKeyID,
			Scopes: []string{scope}, TokenURL: a.TokenURI,
		},
	}, nil
}

// ending ends every request with the lane.
type ending struct {
	ctx  context.Context
	next http.RoundTripper
}

func (e ending) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(e.ctx, func() { cancel(context.Cause(e.ctx)) })
	context.AfterFunc(ctx, func() { stop() }) // the client ends ctx after the body
	return e.next.RoundTrip(r.WithContext(ctx))
}

// fetch exchanges a new assertion.
func (s *source) fetch(now time.Time) (*access, error) {
	t, err := s.config.TokenSource(s.ctx).Token()
	if err != nil {
		return nil, err
	}
	if t.AccessToken == "" {
		return nil, errors.New("the token endpoint answered without a token")
	}
	a := &access{obtained: now, expires: t.Expiry}
	if a.expires.IsZero() {
		a.expires = now.Add(time.Hour)
	}
	a.shape = &bulk.Shape{Headers: []bulk.Header{
		{Name: "authorization", Value: "Bearer " + t.AccessToken},
		{Name: "content-type", Value: "application/json"},
	}}
	return a, nil
}

// why says what a failed exchange means for the pushes that waited for it: a
// refused assertion is a Fault, a service that is away is worth a retry. What
// is returned as an error names no secret.
func why(err error) (provider.Result, provider.Detail, error) {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) {
		if status := refused.Response.StatusCode; status >= 400 && status < 500 && status != http.StatusTooManyRequests {
			return provider.Fault, provider.Detail{Reason: tocsin.ReasonCredential, Text: "token endpoint refuses the account"},
				fmt.Errorf("fcm: the token endpoint refuses the service account: status %d", status)
		}
		return provider.Later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "token endpoint unavailable"},
			fmt.Errorf("fcm: the token endpoint answers with status %d", refused.Response.StatusCode)
	}
	return provider.Later, provider.Detail{Reason: tocsin.ReasonUnavailable, Text: "token endpoint unavailable"},
		fmt.Errorf("fcm: no access token: %w", err)
}
