package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/webpush"
)

type ProjectPath struct {
	Project tocsin.ProjectID `path:"project"`
}

// projectRoutes are the operations on projects, keys and credentials. A key
// of a project may use those of its own project.
func (s *Server) projectRoutes() {
	admin := access{scope: account.Admin, platform: true}
	const path = "/v1/projects/{project}"
	route(s, operation{id: "create-project", method: http.MethodPost, path: "/v1/projects", tag: "Projects",
		summary: "Create a project, with its first API key", status: http.StatusCreated, need: admin}, s.createProject)
	route(s, operation{id: "list-projects", method: http.MethodGet, path: "/v1/projects", tag: "Projects",
		summary: "List projects, oldest first", need: admin}, s.listProjects)
	route(s, operation{id: "get-project", method: http.MethodGet, path: path, tag: "Projects",
		summary: "Read a project", need: admin}, s.getProject)
	route(s, operation{id: "update-project", method: http.MethodPatch, path: path, tag: "Projects",
		summary: "Change name, origins or weight", need: admin}, s.updateProject)
	route(s, operation{id: "create-key", method: http.MethodPost, path: path + "/keys", tag: "Keys",
		summary: "Create an API key; its text is shown once", status: http.StatusCreated, need: admin}, s.createKey)
	route(s, operation{id: "list-keys", method: http.MethodGet, path: path + "/keys", tag: "Keys",
		summary: "List API keys", need: admin}, s.listKeys)
	route(s, operation{id: "revoke-key", method: http.MethodDelete, path: path + "/keys/{key}", tag: "Keys",
		summary: "Revoke an API key", status: http.StatusNoContent, need: admin}, s.revokeKey)
	route(s, operation{id: "rotate-device-key", method: http.MethodPost, path: path + "/device-key", tag: "Keys", limit: -1,
		summary: "Replace the public device key; the one before is refused from then on", need: admin}, s.rotateDeviceKey)
	route(s, operation{id: "set-credential", method: http.MethodPut, path: path + "/credentials", tag: "Credentials",
		summary: "Set or replace the credential of one provider", need: admin}, s.setCredential)
	route(s, operation{id: "list-credentials", method: http.MethodGet, path: path + "/credentials", tag: "Credentials",
		summary: "List credentials, without their secrets", need: admin}, s.listCredentials)
}

func (s *Server) createProject(ctx context.Context, in *body[client.ProjectRequest]) (*body[client.Project], error) {
	if err := platformOnly(ctx); err != nil {
		return nil, err
	}
	environment := in.Body.Environment
	if environment == 0 {
		environment = tocsin.Production
	}
	for i := range in.Body.Credentials {
		if err := s.Accounts.CheckCredential(credentialOf(&in.Body.Credentials[i])); err != nil {
			return nil, ofCredential(i, err)
		}
	}
	project, first, err := s.Accounts.CreateProject(ctx, in.Body.Name, environment, in.Body.Origins)
	if err != nil {
		return nil, err
	}
	for i := range in.Body.Credentials {
		if _, err := s.Accounts.SetCredential(ctx, project.ID, credentialOf(&in.Body.Credentials[i])); err != nil {
			return nil, err
		}
	}
	out := projectBody(project)
	out.Key = first.Reveal()
	return &body[client.Project]{out}, nil
}

// ofCredential says which of several credentials an error is about.
func ofCredential(i int, err error) error {
	f, known := problemOf(err)
	if !known {
		return err
	}
	for n := range f.Errors {
		f.Errors[n].Field = fmt.Sprintf("credentials[%d].%s", i, f.Errors[n].Field)
	}
	return f
}

func projectBody(p account.Project) client.Project {
	return client.Project{ID: p.ID, Name: p.Name, Environment: p.Environment, Origins: p.Origins, Weight: p.Weight, DeviceKey: p.DeviceKey, CreatedAt: p.Created.UTC()}
}

func (s *Server) listProjects(ctx context.Context, in *struct {
	After tocsin.ProjectID `query:"after"`
	Limit int              `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}) (*body[client.Projects], error) {
	out := &body[client.Projects]{client.Projects{Projects: []client.Project{}}}
	if c := caller(ctx); !c.Platform() {
		own, err := s.Accounts.Project(ctx, c.Project)
		if err != nil {
			return nil, err
		}
		out.Body.Projects = append(out.Body.Projects, projectBody(own))
		return out, nil
	}
	found, err := s.Accounts.Projects(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	for _, p := range found {
		out.Body.Projects = append(out.Body.Projects, projectBody(p))
	}
	if len(found) == in.Limit {
		out.Body.Next = found[len(found)-1].ID.String()
	}
	return out, nil
}

func (s *Server) getProject(ctx context.Context, in *ProjectPath) (*body[client.Project], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	p, err := s.Accounts.Project(ctx, in.Project)
	if err != nil {
		return nil, absent(err, "project")
	}
	return &body[client.Project]{projectBody(p)}, nil
}

func (s *Server) updateProject(ctx context.Context, in *struct {
	ProjectPath
	Body client.ProjectUpdate
}) (*body[client.Project], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	if in.Body.Weight != nil {
		if err := platformOnly(ctx); err != nil {
			return nil, err
		}
	}
	p, err := s.Accounts.UpdateProject(ctx, in.Project, account.ProjectChange{Name: in.Body.Name, Origins: in.Body.Origins, Weight: in.Body.Weight})
	if err != nil {
		return nil, absent(err, "project")
	}
	return &body[client.Project]{projectBody(p)}, nil
}

// absent names what the account service did not find.
func absent(err error, what string) error {
	if errors.Is(err, account.ErrNotFound) {
		return notFound(what)
	}
	return err
}

func (s *Server) createKey(ctx context.Context, in *struct {
	ProjectPath
	Body client.KeyRequest
}) (*body[client.Key], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	names := make([]string, len(in.Body.Scopes))
	for i, scope := range in.Body.Scopes {
		names[i] = string(scope)
	}
	scopes, err := account.ParseScopes(names)
	if err != nil {
		return nil, err
	}
	key, text, err := s.Accounts.CreateKey(ctx, in.Project, in.Body.Name, scopes, in.Body.ExpiresAt)
	if err != nil {
		return nil, absent(err, "project")
	}
	out := keyBody(key)
	out.Key = text.Reveal()
	return &body[client.Key]{out}, nil
}

func keyBody(k account.Key) client.Key {
	out := client.Key{ID: k.ID, Name: k.Name, Scopes: []client.Scope{}, CreatedAt: k.Created, ExpiresAt: k.Expires, RevokedAt: k.Revoked}
	for _, name := range k.Scopes.Names() {
		out.Scopes = append(out.Scopes, client.Scope(name))
	}
	return out
}

func (s *Server) listKeys(ctx context.Context, in *ProjectPath) (*body[client.Keys], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	if _, err := s.Accounts.Project(ctx, in.Project); err != nil {
		return nil, absent(err, "project")
	}
	keys, err := s.Accounts.Keys(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	out := &body[client.Keys]{client.Keys{Keys: []client.Key{}}}
	for _, k := range keys {
		if k.Scopes != account.Device { // shown with the project, and public
			out.Body.Keys = append(out.Body.Keys, keyBody(k))
		}
	}
	return out, nil
}

func (s *Server) revokeKey(ctx context.Context, in *struct {
	ProjectPath
	Key tocsin.KeyID `path:"key"`
}) (*empty, error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	return nil, absent(s.Accounts.RevokeKey(ctx, in.Project, in.Key), "key")
}

func (s *Server) rotateDeviceKey(ctx context.Context, in *ProjectPath) (*body[client.Project], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	p, err := s.Accounts.RotateDeviceKey(ctx, in.Project)
	if err != nil {
		return nil, absent(err, "project")
	}
	return &body[client.Project]{projectBody(p)}, nil
}

func (s *Server) setCredential(ctx context.Context, in *struct {
	ProjectPath
	Body client.CredentialRequest
}) (*body[client.Credential], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	c := credentialOf(&in.Body)
	if err := s.mayList(ctx, in.Project, c); err != nil {
		return nil, err
	}
	set, err := s.Accounts.SetCredential(ctx, in.Project, c)
	if err != nil {
		return nil, absent(err, "project")
	}
	return &body[client.Credential]{credentialBody(set)}, nil
}

// mayList lets only the platform list an origin of Web Push that is not a public
// name: the node would dial addresses of its own network for whoever may set a
// credential. What stands there already may stay.
func (s *Server) mayList(ctx context.Context, project tocsin.ProjectID, c provider.Credential) error {
	if c.Provider != tocsin.WebPush || caller(ctx).Platform() {
		return nil
	}
	// One that is not there, or damaged, lists nothing.
	before, err := s.Accounts.Credential(ctx, project, tocsin.WebPush)
	if err != nil && !errors.Is(err, account.ErrNotFound) && !errors.Is(err, account.ErrDamaged) {
		return err
	}
	for i, e := range c.Endpoints {
		if err := webpush.CheckOrigin(e.Origin, before.Endpoints); err != nil {
			return fail(http.StatusForbidden, "forbidden", "listing an origin that is not a public name on port 443 needs a key of the platform",
				client.FieldError{Field: fmt.Sprintf("endpoints[%d].origin", i), Reason: "not a public name"})
		}
	}
	return nil
}

func (s *Server) listCredentials(ctx context.Context, in *ProjectPath) (*body[client.Credentials], error) {
	if err := mayName(ctx, in.Project); err != nil {
		return nil, err
	}
	if _, err := s.Accounts.Project(ctx, in.Project); err != nil {
		return nil, absent(err, "project")
	}
	found, err := s.Accounts.Credentials(ctx, in.Project)
	if err != nil {
		return nil, err
	}
	out := &body[client.Credentials]{client.Credentials{Credentials: []client.Credential{}}}
	for _, c := range found {
		one := credentialBody(c)
		if since, refused := s.Refused(c.ID); refused {
			one.RefusedSince = since.UTC()
		}
		out.Body.Credentials = append(out.Body.Credentials, one)
	}
	return out, nil
}

func credentialOf(r *client.CredentialRequest) provider.Credential {
	c := provider.Credential{Provider: r.Provider, Quota: r.Quota}
	if a := r.APNs; a != nil {
		c.APNs = &provider.APNs{Key: []byte(a.Key), KeyID: a.KeyID, TeamID: a.TeamID, Topics: a.Topics, Sandbox: a.Sandbox}
	}
	if f := r.FCM; f != nil {
		c.FCM = &provider.FCM{ServiceAccount: f.ServiceAccount}
	}
	if w := r.WebPush; w != nil {
		c.WebPush = &provider.WebPush{Subject: w.Subject}
	}
	for _, e := range r.Endpoints {
		c.Endpoints = append(c.Endpoints, provider.Endpoint{Origin: e.Origin, Root: []byte(e.Root)})
	}
	return c
}

// credentialBody leaves the secrets out.
func credentialBody(c provider.Credential) client.Credential {
	out := client.Credential{ID: c.ID, Provider: c.Provider, Version: c.Version, Quota: c.Quota}
	switch {
	case c.APNs != nil:
		out.APNs = &client.APNsCredential{KeyID: c.APNs.KeyID, TeamID: c.APNs.TeamID, Topics: c.APNs.Topics, Sandbox: c.APNs.Sandbox}
	case c.FCM != nil:
		var named struct {
			ProjectID string `json:"project_id"`
		}
		json.Unmarshal(c.FCM.ServiceAccount, &named) // checked when it was set
		out.FCM = &client.FCMCredential{ProjectID: named.ProjectID}
	case c.WebPush != nil:
		out.WebPush = &client.WebPushCredential{Subject: c.WebPush.Subject, PublicKey: base64.RawURLEncoding.EncodeToString(c.WebPush.PublicKey)}
	}
	for _, e := range c.Endpoints {
		out.Endpoints = append(out.Endpoints, client.Endpoint{Origin: e.Origin, Root: string(e.Root)})
	}
	return out
}
