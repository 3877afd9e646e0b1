package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

type project struct {
	Create projectCreate `cmd:"" help:"Create a project; prints its id and its first key."`
	List   projectList   `cmd:"" help:"List projects."`
	Update projectUpdate `cmd:"" help:"Change name, web origins or weight."`
}

type projectUpdate struct {
	remote
	Of      tocsin.ProjectID `arg:"" name:"project-id"`
	Name    *string          `help:"Name shown to people."`
	Origins *[]string        `help:"Web origins that may call the device API, all of them." placeholder:"ORIGIN"`
	Weight  *int             `help:"Its share of what leaves while others send too, 1 to 100; with a key of the platform."`
}

func (c *projectUpdate) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	p, err := api.UpdateProject(s.ctx, c.Of, client.ProjectUpdate{Name: c.Name, Origins: c.Origins, Weight: c.Weight})
	if err != nil {
		return err
	}
	return c.print(s, p, func(w io.Writer) { fmt.Fprintf(w, "%s  weight %d  %q  %s\n", p.ID, p.Weight, p.Origins, p.Name) })
}

type projectCreate struct {
	remote
	Name        string             `arg:"" help:"Name shown to people."`
	Environment tocsin.Environment `help:"production, preproduction or development." default:"production"`
	Credentials string             `help:"JSON file as tocsin sim writes it, or with {\"credentials\":[...]}." type:"existingfile" placeholder:"FILE"`
	Origins     []string           `help:"Web origins that may call the device API." placeholder:"ORIGIN"`
}

func (c *projectCreate) Run(s *session) error {
	request := client.ProjectRequest{}
	if c.Credentials != "" {
		if err := readJSON(c.Credentials, &request); err != nil {
			return err
		}
	}
	request.Name, request.Environment, request.Origins = c.Name, c.Environment, c.Origins
	api, err := c.client()
	if err != nil {
		return err
	}
	made, err := api.CreateProject(s.ctx, request)
	if err != nil {
		return err
	}
	return c.print(s, made, func(w io.Writer) {
		fmt.Fprintf(w, "project     %s\nkey         %s   (shown once)\ndevice key  %s\n", made.ID, made.Key, made.DeviceKey)
	})
}

type projectList struct{ remote }

func (c *projectList) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	var all []client.Project
	for after := (tocsin.ProjectID{}); ; {
		page, err := api.Projects(s.ctx, after, 1000)
		if err != nil {
			return err
		}
		all = append(all, page.Projects...)
		if page.Next == "" {
			break
		}
		after = page.Projects[len(page.Projects)-1].ID
	}
	return c.print(s, all, func(w io.Writer) {
		for _, p := range all {
			fmt.Fprintf(w, "%s  %-13s  %s  %s\n", p.ID, p.Environment, p.DeviceKey, p.Name)
		}
	})
}

type key struct {
	Create keyCreate `cmd:"" help:"Create an API key; its text is printed once."`
	List   keyList   `cmd:"" help:"List API keys."`
	Revoke keyRevoke `cmd:"" help:"Revoke an API key."`
	Device keyDevice `cmd:"" help:"Replace the public device key of apps and sites; the one before is refused from then on."`
}

type keyDevice struct {
	remote
	Of tocsin.ProjectID `arg:"" name:"project-id"`
}

func (c *keyDevice) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	p, err := api.RotateDeviceKey(s.ctx, c.Of)
	if err != nil {
		return err
	}
	return c.print(s, p, func(w io.Writer) { fmt.Fprintln(w, p.DeviceKey) })
}

type keyCreate struct {
	remote
	Of     tocsin.ProjectID `arg:"" name:"project-id"`
	Name   string           `arg:"" help:"What it is for."`
	Scopes []client.Scope   `help:"send, audience, read, admin." default:"send,audience,read"`
}

func (c *keyCreate) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	made, err := api.CreateKey(s.ctx, c.Of, client.KeyRequest{Name: c.Name, Scopes: c.Scopes})
	if err != nil {
		return err
	}
	return c.print(s, made, func(w io.Writer) { fmt.Fprintf(w, "%s  %s\n", made.ID, made.Key) })
}

type keyList struct {
	remote
	Of tocsin.ProjectID `arg:"" name:"project-id"`
}

func (c *keyList) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	keys, err := api.Keys(s.ctx, c.Of)
	if err != nil {
		return err
	}
	return c.print(s, keys.Keys, func(w io.Writer) {
		for _, k := range keys.Keys {
			state := "live"
			if !k.RevokedAt.IsZero() {
				state = "revoked"
			}
			fmt.Fprintf(w, "%s  %-8s %-25s %s\n", k.ID, state, fmt.Sprint(k.Scopes), k.Name)
		}
	})
}

type keyRevoke struct {
	remote
	Of  tocsin.ProjectID `arg:"" name:"project-id"`
	Key tocsin.KeyID     `arg:"" name:"key-id"`
}

func (c *keyRevoke) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	return api.RevokeKey(s.ctx, c.Of, c.Key)
}

type credential struct {
	Set  credentialSet  `cmd:"" help:"Set or replace the credential of one provider from a JSON file."`
	List credentialList `cmd:"" help:"List credentials, without their secrets."`
}

type credentialSet struct {
	remote
	Of   tocsin.ProjectID `arg:"" name:"project-id"`
	File string           `arg:"" help:"Body of PUT /v1/projects/{project}/credentials." type:"existingfile"`
}

func (c *credentialSet) Run(s *session) error {
	var request client.CredentialRequest
	if err := readJSON(c.File, &request); err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	set, err := api.SetCredential(s.ctx, c.Of, request)
	if err != nil {
		return err
	}
	return c.print(s, set, func(w io.Writer) { fmt.Fprintf(w, "%s  %s  version %d\n", set.ID, set.Provider, set.Version) })
}

type credentialList struct {
	remote
	Of tocsin.ProjectID `arg:"" name:"project-id"`
}

func (c *credentialList) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	list, err := api.Credentials(s.ctx, c.Of)
	if err != nil {
		return err
	}
	return c.print(s, list.Credentials, func(w io.Writer) {
		for _, k := range list.Credentials {
			state := ""
			if !k.RefusedSince.IsZero() {
				state = "   refused by the provider since " + k.RefusedSince.Format(time.RFC3339) + ": replace it"
			}
			fmt.Fprintf(w, "%s  %-8s version %d%s\n", k.ID, k.Provider, k.Version, state)
		}
	})
}
