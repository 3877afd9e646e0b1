package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/target"
)

// failure is a problem on its way out. Every error that a handler returns
// becomes one, so that nothing internal is told to a client.
type failure struct{ *client.Problem }

// GetStatus, ContentType and GetHeaders are what huma asks of an error.
func (f failure) GetStatus() int            { return f.Status }
func (f failure) ContentType(string) string { return "application/problem+json" }
func (f failure) GetHeaders() http.Header {
	h := http.Header{}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	return h
}

func fail(status int, code, detail string, fields ...client.FieldError) failure {
	return failure{&client.Problem{Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Errors: fields}}
}

// invalid is a 422 about one field.
func invalid(field, reason string) failure {
	return fail(http.StatusUnprocessableEntity, "invalid", "the request is not valid", client.FieldError{Field: field, Reason: reason})
}

func notFound(what string) failure {
	return fail(http.StatusNotFound, "not_found", "there is no such "+what)
}

func isNotFound(err error) bool {
	var f failure
	return errors.As(err, &f) && f.Status == http.StatusNotFound
}

func busy(status int, code, detail string, after time.Duration) failure {
	f := fail(status, code, detail)
	f.RetryAfter = after
	return f
}

func unavailable() failure {
	return busy(http.StatusServiceUnavailable, "unavailable", "not possible now; the request may be repeated", time.Second)
}

// crowded refuses a send for what is open already: for the project's own part,
// or for that of all.
func crowded(r pace.Refusal) failure {
	if r.Own {
		return busy(http.StatusTooManyRequests, "crowded", "too much of this project is on its way already; nothing was accepted", r.After)
	}
	return busy(http.StatusServiceUnavailable, "crowded", "too much is on its way already; nothing was accepted", r.After)
}

func full() failure {
	return fail(http.StatusInsufficientStorage, "full", "storage is nearly full; nothing was written")
}

// problemOf translates the error kinds of the rooms below, once. known is
// false for an error that nobody expected.
func problemOf(err error) (f failure, known bool) {
	var query *target.Error
	var setting *account.Invalid
	var unanswered *ask.Unanswered
	switch {
	case errors.As(err, &f):
		return f, true
	case errors.As(err, &unanswered):
		return busy(http.StatusServiceUnavailable, "unanswered", unanswered.Error(), time.Second), true
	case errors.As(err, &query):
		return invalid("target."+query.Path, strings.TrimPrefix(query.Error(), query.Path+": ")), true
	case errors.As(err, &setting):
		return invalid(setting.Path, setting.Problem), true
	case errors.Is(err, account.ErrUnauthenticated):
		return fail(http.StatusUnauthorized, "unauthorized", "the key is not known, revoked or expired"), true
	case errors.Is(err, account.ErrNotFound):
		return notFound("project, key or credential"), true
	case errors.Is(err, account.ErrConflict):
		return fail(http.StatusConflict, "conflict", "somebody else changed it at the same time"), true
	case errors.Is(err, account.ErrLimit):
		return fail(http.StatusConflict, "limit", "there are as many as there may be"), true
	case errors.Is(err, catalogue.ErrUnknown):
		return notFound("name in the catalogue"), true
	case errors.Is(err, catalogue.ErrTaken):
		return fail(http.StatusConflict, "taken", "the new name is in use; delete it first, or choose another"), true
	case errors.Is(err, catalogue.ErrBusy):
		return unavailable(), true
	case errors.Is(err, journal.ErrFull), errors.Is(err, store.ErrFull):
		return full(), true
	case errors.Is(err, journal.ErrTooLarge), errors.Is(err, store.ErrTooLarge):
		return fail(http.StatusRequestEntityTooLarge, "too_large", "what the request asks to keep is larger than one record may be (512 KiB)"), true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return unavailable(), true // the client has gone, or its time is up
	case errors.Is(err, journal.ErrClosed), errors.Is(err, store.ErrClosed):
		return unavailable(), true
	}
	return unavailable(), false
}

// answer turns an error into its problem and logs those that nobody expected.
// Nothing of the request is logged: it may hold addresses and tokens.
func answer(log *slog.Logger, operation string, err error) error {
	if err == nil {
		return nil
	}
	f, known := problemOf(err)
	if !known {
		log.Error("request failed", "operation", operation, "error", err)
	}
	return f
}

// writeProblem answers outside of huma.
func writeProblem(w http.ResponseWriter, f failure) {
	for name, values := range f.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.Status)
	json.NewEncoder(w).Encode(f.Problem)
}

// maxErrors is how many wrong fields are told: a body can hold very many.
const maxErrors = 20

// plainJSON is the library's format with errors that speak of JSON, not of Go.
// The library hands on nothing of an error but its text, so that the path is
// in it, and reshape takes it out.
var plainJSON = huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: func(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var kind *json.UnmarshalTypeError
	if !errors.As(err, &kind) {
		return err
	}
	reason := "want another type of value"
	switch kind.Type.Kind() { // what the schema lets pass
	case reflect.Int, reflect.Int32, reflect.Int64:
		reason = "want an integer in range, without fraction or exponent"
	case reflect.Float64, reflect.Interface:
		reason = "a number is out of range"
	}
	return errors.New(strings.TrimSuffix(inBody+kind.Field, ".") + ": " + reason)
}}

// inBody begins the location of a field.
const inBody = "body."

// reshape gives huma's own errors (its validation of parameters and bodies)
// the form of every other problem. Values are not echoed.
func reshape(_ huma.Context, _ string, body any) (any, error) {
	switch m := body.(type) {
	case failure:
		return m.Problem, nil
	case *huma.ErrorModel:
		f := fail(m.Status, code(m.Status), m.Detail)
		for _, e := range m.Errors {
			if len(f.Errors) == maxErrors {
				f.Detail += "; more is wrong than is told"
				break
			}
			if e == nil {
				continue
			}
			at, reason := e.Location, e.Message
			if path, rest, ok := strings.Cut(reason, ": "); ok && at == "body" && (path == at || strings.HasPrefix(path, inBody)) {
				at, reason = path, rest
			}
			f.Errors = append(f.Errors, client.FieldError{Field: strings.TrimPrefix(at, inBody), Reason: reason})
		}
		return f.Problem, nil
	}
	return body, nil
}

func code(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "media_type"
	case http.StatusNotAcceptable:
		return "not_acceptable"
	case http.StatusRequestTimeout:
		return "timeout"
	}
	if status >= 500 {
		return "unavailable"
	}
	return "invalid"
}

func tooLarge(limit int) failure {
	return fail(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than "+strconv.Itoa(limit)+" bytes")
}
