package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store"
)

// credentialRow is a credential as it is stored: all but its name is sealed.
type credentialRow struct {
	V        int                 `json:"v"`
	ID       tocsin.CredentialID `json:"id"`
	Version  uint64              `json:"version"`
	Provider tocsin.Provider     `json:"provider"`
	Sealed   []byte              `json:"sealed"`
}

// contents is what is sealed. The provider types write no JSON of their
// secrets, so that the fields are named here.
type contents struct {
	Key       []byte     `json:"key"` // the provider's secret
	KeyID     string     `json:"key_id,omitempty"`
	TeamID    string     `json:"team_id,omitempty"`
	Topics    []string   `json:"topics,omitempty"`
	Sandbox   bool       `json:"sandbox,omitempty"`
	PublicKey []byte     `json:"public_key,omitempty"`
	Subject   string     `json:"subject,omitempty"`
	Endpoints []endpoint `json:"endpoints,omitempty"`
	Quota     int        `json:"quota,omitempty"`
}

type endpoint struct {
	Origin string `json:"origin"`
	Root   []byte `json:"root,omitempty"`
}

func credentialsOf(project tocsin.ProjectID) store.Place {
	return store.Place{Table: "account_credentials", Partition: project.String()}
}

// OnReplace names a function that hears of every credential that is set, new or
// replaced, once it is durable and one at a time in the order of versions: of one
// set in this process before SetCredential returns, of others from Watch. It must
// not block, nor set a credential.
func (s *Service) OnReplace(hear func(provider.Credential)) {
	s.setting.Lock()
	defer s.setting.Unlock()
	s.onReplace = append(s.onReplace, hear)
}

// SetCredential sets the credential of one provider of a project, in place of
// the one before: same id, next version. ID, Project and Version of c are not
// read. An empty secret (APNs.Key, FCM.ServiceAccount, WebPush.PrivateKey)
// keeps the one before, but not for an endpoint that was not listed with it; a
// Web Push key pair that never was is made here. Note
// that subscriptions of browsers belong to the pair they were made with.
func (s *Service) SetCredential(ctx context.Context, project tocsin.ProjectID, c provider.Credential) (provider.Credential, error) {
	if err := s.offers(c.Provider); err != nil {
		return provider.Credential{}, err
	}
	if _, err := s.Project(ctx, project); err != nil {
		return provider.Credential{}, err
	}
	s.setting.Lock()
	defer s.setting.Unlock()
	c.Project = project
	var row credentialRow
	old, err := read(ctx, s.store, credentialsOf(project), c.Provider.String(), &row)
	switch {
	case errors.Is(err, ErrNotFound):
		c.ID, c.Version = makeID[tocsin.CredentialID](time.Now()), 1
		err = complete(&c, nil)
	case err == nil:
		c.ID, c.Version = row.ID, row.Version+1
		err = s.keep(&c, row)
	case errors.Is(err, ErrDamaged) && isWhole(c):
		// Its version is lost: the time is above any count.
		c.ID, c.Version = nameOf(project, c.Provider, row), uint64(time.Now().Unix())
		err = complete(&c, nil)
	}
	if err != nil {
		return provider.Credential{}, err
	}
	clear, err := s.contents(c)
	if err != nil {
		return provider.Credential{}, err
	}
	row = credentialRow{format, c.ID, c.Version, c.Provider, s.seal.close(c, clear)}
	if err := s.announce(ctx, c); err != nil {
		return provider.Credential{}, err
	}
	if err := put(ctx, s.store, credentialsOf(project), c.Provider.String(), old, row, time.Time{}); err != nil {
		return provider.Credential{}, err
	}
	s.tell(c)
	return c, nil
}

// CheckCredential says what SetCredential would refuse in a project's first one
// of this provider.
func (s *Service) CheckCredential(c provider.Credential) error {
	if err := s.offers(c.Provider); err != nil {
		return err
	}
	if err := complete(&c, nil); err != nil {
		return err
	}
	_, err := s.contents(c)
	return err
}

func (s *Service) offers(p tocsin.Provider) error {
	if s.providers[p] == nil {
		return invalid("provider", "%q is not offered here", p)
	}
	return nil
}

// contents checks a credential and brings what is sealed of it.
func (s *Service) contents(c provider.Credential) ([]byte, error) {
	if err := s.check(c); err != nil {
		return nil, err
	}
	clear, err := json.Marshal(contentsOf(c))
	if err == nil && len(clear) > maxContents {
		err = invalid("credential", "%d bytes with its certificates, the limit is %d", len(clear), maxContents)
	}
	return clear, err
}

// maxContents keeps a row, in base64 twice, under the store's limit of a value.
const maxContents = 512 << 10

// keep completes a credential from the one before. One that does not open any
// more can still be replaced by a whole one.
func (s *Service) keep(c *provider.Credential, row credentialRow) error {
	before, err := s.open(c.Project, row)
	if err != nil && isWhole(*c) {
		return complete(c, nil)
	}
	if err != nil {
		return err
	}
	if c.Provider != tocsin.WebPush && !isWhole(*c) && !among(c.Endpoints, before.Endpoints) {
		return invalid("endpoints", "a new endpoint would be shown the tokens of a kept secret: give the secret again")
	}
	return complete(c, &before)
}

// among reports whether every endpoint is one of others.
func among(endpoints, others []provider.Endpoint) bool {
	for _, e := range endpoints {
		if !slices.ContainsFunc(others, func(o provider.Endpoint) bool {
			return strings.EqualFold(o.Origin, e.Origin) && bytes.Equal(o.Root, e.Root)
		}) {
			return false
		}
	}
	return true
}

// Credential returns the credential of one provider, in clear. With ErrDamaged
// it returns its name, without the provider's part: pushes can wait for it.
func (s *Service) Credential(ctx context.Context, project tocsin.ProjectID, p tocsin.Provider) (provider.Credential, error) {
	var row credentialRow
	_, err := read(ctx, s.store, credentialsOf(project), p.String(), &row)
	if err == nil && row.Provider == p {
		var c provider.Credential
		if c, err = s.open(project, row); err == nil {
			return c, nil
		}
	} else if err == nil {
		err = fmt.Errorf("%w: it is of %s", ErrDamaged, row.Provider)
	}
	if !errors.Is(err, ErrDamaged) {
		return provider.Credential{}, err
	}
	name := provider.Credential{ID: nameOf(project, p, row), Project: project, Provider: p}
	return name, fmt.Errorf("%s of project %s: %w", name, project, err)
}

// nameOf is the identifier of a credential whose row may be beyond reading: then
// one made from what is known, the same until it is replaced.
func nameOf(project tocsin.ProjectID, p tocsin.Provider, row credentialRow) tocsin.CredentialID {
	if !row.ID.IsZero() {
		return row.ID
	}
	sum := sha256.Sum256(append([]byte("tocsin lost credential "+p.String()+" "), project[:]...))
	return tocsin.CredentialID(sum[:16])
}

// Credentials returns the credentials of a project, one a provider, in clear.
// One that does not open has its name alone, and is told by the error beside
// the others.
func (s *Service) Credentials(ctx context.Context, project tocsin.ProjectID) ([]provider.Credential, error) {
	var all []provider.Credential
	var failed error
	for p := tocsin.APNs; p <= tocsin.WebPush; p++ {
		c, err := s.Credential(ctx, project, p)
		if err == nil || errors.Is(err, ErrDamaged) {
			all = append(all, c)
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			failed = errors.Join(failed, err)
		}
	}
	return all, failed
}

// CredentialIDs names the credential of each provider of a project, as they were
// at most Fresh ago and with all that were set here. Many may ask at once at
// little cost. The caller must not change the answer.
func (s *Service) CredentialIDs(ctx context.Context, project tocsin.ProjectID) (map[tocsin.Provider]tocsin.CredentialID, error) {
	now := time.Now()
	if ids, ok := s.ids.get(project, now); ok {
		return ids, nil
	}
	ids, err, _ := s.asking.Do(project.String(), func() (any, error) {
		sets, ids := s.sets.Load(), map[tocsin.Provider]tocsin.CredentialID{}
		for p := tocsin.APNs; p <= tocsin.WebPush; p++ {
			var row credentialRow
			_, err := read(ctx, s.store, credentialsOf(project), p.String(), &row)
			switch {
			case err == nil:
				ids[p] = row.ID
			case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrDamaged): // nothing is lost by going on with the others
				return nil, err
			}
		}
		s.ids.put(project, ids, now)
		if s.sets.Load() != sets { // one was set after it was read
			s.ids.forget(project)
		}
		return ids, nil
	})
	if err != nil {
		return nil, err
	}
	return ids.(map[tocsin.Provider]tocsin.CredentialID), nil
}

func (s *Service) open(project tocsin.ProjectID, row credentialRow) (provider.Credential, error) {
	c := provider.Credential{ID: row.ID, Project: project, Provider: row.Provider, Version: row.Version}
	clear, err := s.seal.open(c, row.Sealed)
	if err != nil {
		return provider.Credential{}, err
	}
	var in contents
	if err := json.Unmarshal(clear, &in); err != nil {
		return provider.Credential{}, fmt.Errorf("%w: it holds no JSON", ErrDamaged)
	}
	switch c.Provider {
	case tocsin.APNs:
		c.APNs = &provider.APNs{Key: in.Key, KeyID: in.KeyID, TeamID: in.TeamID, Topics: in.Topics, Sandbox: in.Sandbox}
	case tocsin.FCM:
		c.FCM = &provider.FCM{ServiceAccount: in.Key}
	case tocsin.WebPush:
		c.WebPush = &provider.WebPush{PrivateKey: in.Key, PublicKey: in.PublicKey, Subject: in.Subject}
	}
	for _, e := range in.Endpoints {
		c.Endpoints = append(c.Endpoints, provider.Endpoint(e))
	}
	c.Quota = in.Quota
	return c, nil
}

func contentsOf(c provider.Credential) contents {
	out := contents{Quota: c.Quota}
	switch c.Provider {
	case tocsin.APNs:
		out.Key, out.KeyID, out.TeamID = c.APNs.Key, c.APNs.KeyID, c.APNs.TeamID
		out.Topics, out.Sandbox = c.APNs.Topics, c.APNs.Sandbox
	case tocsin.FCM:
		out.Key = c.FCM.ServiceAccount
	case tocsin.WebPush:
		out.Key, out.PublicKey, out.Subject = c.WebPush.PrivateKey, c.WebPush.PublicKey, c.WebPush.Subject
	}
	for _, e := range c.Endpoints {
		out.Endpoints = append(out.Endpoints, endpoint(e))
	}
	return out
}
