package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Problem is an error answer (RFC 9457, application/problem+json). It is the
// error of every client call that got one; errors.Is compares it with the
// kinds below.
type Problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status" doc:"HTTP status"`
	Code   string       `json:"code" doc:"Stable word for programs"`
	Detail string       `json:"detail,omitempty"`
	Errors []FieldError `json:"errors,omitempty"`

	RetryAfter time.Duration `json:"-"` // from the header, 0 when absent
}

// FieldError says what is wrong with one part of a request.
type FieldError struct {
	Field  string `json:"field" doc:"Path into the body, such as message.languages.fr.title, or query.limit, path.send, header.Idempotency-Key"`
	Reason string `json:"reason"`
}

// Kinds of problem, for errors.Is.
var (
	ErrInvalid      = errors.New("request is not valid")             // 400, 413, 415, 422
	ErrUnauthorized = errors.New("key is missing or not known")      // 401
	ErrForbidden    = errors.New("key may not do this")              // 403
	ErrNotFound     = errors.New("not found")                        // 404
	ErrConflict     = errors.New("conflicts with the present state") // 409
	ErrThrottled    = errors.New("too many requests")                // 429
	ErrFull         = errors.New("storage is nearly full")           // 507
	ErrUnavailable  = errors.New("not available now")                // 500, 502, 503, 504
)

// Error describes the problem with its fields.
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", p.Status, p.Title)
	if p.Detail != "" {
		fmt.Fprintf(&b, ": %s", p.Detail)
	}
	for _, e := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", e.Field, e.Reason)
	}
	return b.String()
}

// Is reports whether the problem is of a kind.
func (p *Problem) Is(kind error) bool {
	switch p.Status {
	case http.StatusUnauthorized:
		return kind == ErrUnauthorized
	case http.StatusForbidden:
		return kind == ErrForbidden
	case http.StatusNotFound:
		return kind == ErrNotFound
	case http.StatusConflict:
		return kind == ErrConflict
	case http.StatusTooManyRequests:
		return kind == ErrThrottled
	case http.StatusInsufficientStorage:
		return kind == ErrFull
	}
	if p.Status >= 500 {
		return kind == ErrUnavailable
	}
	return kind == ErrInvalid
}
