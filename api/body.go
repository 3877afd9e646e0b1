package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// largeBody is the size above which bodies are worked on a few at a time: what
// is wrong with each of their values takes far more memory than they do.
const (
	largeBody   = 4 << 10
	largeBodies = 8
)

// guard reads a JSON body within its limits and checks it before anything is
// built from it.
func (s *Server) guard(limit int) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		body, err := s.readJSON(w, r, limit)
		if err != nil {
			writeProblem(w, answer(s.log(ctx.Context()), ctx.Operation().OperationID, err).(failure))
			return
		}
		r.Body = &keptBody{bytes.NewReader(body), body}
		if len(body) > largeBody {
			select {
			case s.large <- struct{}{}:
				defer func() { <-s.large }()
			case <-time.After(s.RequestTime):
				writeProblem(w, busy(http.StatusServiceUnavailable, "unavailable", "too many large requests at the same time", time.Second))
				return
			}
		}
		next(ctx)
	}
}

func (s *Server) readJSON(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, fail(http.StatusUnsupportedMediaType, "media_type", "want Content-Type: application/json")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return nil, fail(http.StatusUnsupportedMediaType, "media_type", "Content-Encoding is not taken")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fail(http.StatusRequestTimeout, "timeout", "the body did not come in time")
	case err != nil:
		return nil, fail(http.StatusBadRequest, "invalid", "the body broke off")
	}
	// Where there is no connection to set it on, a test's recorder, there is
	// nothing to wait for either.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err := checkJSON(body, s.Depth, s.Values); err != nil {
		code := "invalid"
		if errors.Is(err, errDeep) {
			code = "too_deep"
		}
		return nil, fail(http.StatusBadRequest, code, "the body is not JSON that is taken: "+err.Error())
	}
	return body, nil
}

// keptBody is a body in memory, which may be looked at again.
type keptBody struct {
	io.Reader
	all []byte
}

func (*keptBody) Close() error { return nil }
