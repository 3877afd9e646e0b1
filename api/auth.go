package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/record"
)

// access is who may call an operation.
type access struct {
	scope    account.Scopes
	question bool // about a target
	platform bool // needs no project: the caller names it in the path, or there is none
}

// projectHeader names the project that a platform key acts for.
const projectHeader = "Tocsin-Project"

type callerKey struct{}

// caller is who called; every route has one.
func caller(ctx context.Context) account.Caller {
	return ctx.Value(callerKey{}).(account.Caller)
}

// scope is what goes into records made for the caller.
func scope(ctx context.Context, class tocsin.Class) record.Scope {
	c := caller(ctx)
	return record.Scope{Project: c.Project, Environment: c.Environment, Class: class}
}

// log names the caller's project in what is logged for it (law L10).
func (s *Server) log(ctx context.Context) *slog.Logger {
	c := caller(ctx)
	if c.Project.IsZero() {
		return s.Log
	}
	return s.Log.With("project", c.Project.String(), "environment", c.Environment.String())
}

// authenticate lets a request through to its operation with its caller in the
// context. It comes before anything of the body is read.
func (s *Server) authenticate(need access) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		if need.scope == account.Device {
			if wait := s.addresses.call(s.Now(), r.RemoteAddr); wait > 0 {
				writeProblem(w, busy(http.StatusTooManyRequests, "too_many", "too many calls from this address", wait))
				return
			}
		}
		c, err := s.whoCalls(r, need)
		if err == nil {
			err = s.admitOrigin(r.Context(), w, r, c.Project)
		}
		if err != nil {
			writeProblem(w, answer(s.Log, ctx.Operation().OperationID, err).(failure))
			return
		}
		gate := s.requests
		switch {
		case need.scope == account.Device: // whoever has the public key must not use up the server's share
			gate = s.devices
		case need.question: // nor whoever asks what sends and changes need
			gate = s.questions
		}
		if !gate.enter(c.Project) {
			writeProblem(w, busy(http.StatusTooManyRequests, "too_many", "too many requests of this project at the same time", 1e9))
			return
		}
		defer gate.leave(c.Project)
		next(huma.WithValue(ctx, callerKey{}, c))
	}
}

func (s *Server) whoCalls(r *http.Request, need access) (account.Caller, error) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return account.Caller{}, fail(http.StatusUnauthorized, "unauthorized", "give an API key: Authorization: Bearer tcs_...")
	}
	c, err := s.Accounts.Authenticate(r.Context(), strings.TrimSpace(text))
	if err != nil {
		return c, err
	}
	if !c.Scopes.Has(need.scope) {
		return c, fail(http.StatusForbidden, "forbidden", "the key lacks the scope "+strings.Join(need.scope.Names(), ", "))
	}
	if need.platform {
		return c, nil
	}
	if !c.Platform() {
		if name := r.Header.Get(projectHeader); name != "" && name != c.Project.String() {
			return c, notFound("project")
		}
		return c, nil
	}
	// A key of the platform acts for the project that it names.
	name := r.Header.Get(projectHeader)
	if name == "" {
		return c, fail(http.StatusForbidden, "forbidden", "a key of the platform names the project in the header "+projectHeader)
	}
	return s.actFor(r.Context(), c, name)
}

// actFor gives a platform key the place of a project's.
func (s *Server) actFor(ctx context.Context, c account.Caller, name string) (account.Caller, error) {
	id := tocsin.ProjectID{}
	if err := id.UnmarshalText([]byte(name)); err != nil || id.IsZero() {
		return c, notFound("project")
	}
	project, err := s.Accounts.Project(ctx, id)
	if errors.Is(err, account.ErrNotFound) {
		return c, notFound("project")
	}
	if err != nil {
		return c, err
	}
	c.Project, c.Environment = project.ID, project.Environment
	return c, nil
}

// mayName holds the project of a path against the caller: a project's key
// sees no other project.
func mayName(ctx context.Context, id tocsin.ProjectID) error {
	if c := caller(ctx); !c.Platform() && c.Project != id {
		return notFound("project")
	}
	return nil
}

// platformOnly refuses keys of a project.
func platformOnly(ctx context.Context) error {
	if !caller(ctx).Platform() {
		return fail(http.StatusForbidden, "forbidden", "needs a key of the platform")
	}
	return nil
}
