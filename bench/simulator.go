package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

// simulator is the child that plays the providers.
type simulator struct {
	*child
	setup sim.Setup
	roots *x509.CertPool
}

func startSimulator(ctx context.Context, dir string, projects int) (*simulator, error) {
	s := &simulator{roots: x509.NewCertPool()}
	var err error
	if s.child, err = startPart(ctx, dir, partSim, []string{strconv.Itoa(projects)}, &s.setup); err != nil {
		return nil, err
	}
	if !s.roots.AppendCertsFromPEM([]byte(s.setup.Root)) {
		return nil, errors.Join(errors.New("simulator: no root certificate"), s.stop())
	}
	return s, nil
}

// account is the APNs credential of a project and the origin that takes it.
func (s *simulator) account(project int) (*client.APNsCredential, string) {
	for _, c := range s.setup.Projects[project].Credentials {
		if c.Provider == tocsin.APNs {
			return c.APNs, c.Endpoints[0].Origin
		}
	}
	panic("the simulator has no APNs") // ours: it always starts one
}

// reset forgets the ledger.
func (s *simulator) reset(ctx context.Context) error {
	return s.ask(ctx, http.MethodPost, "/reset", nil, nil)
}

// behave changes options of a provider; those that are absent stay.
func (s *simulator) behave(ctx context.Context, p tocsin.Provider, options map[string]any) error {
	body, err := json.Marshal(map[string]any{p.String(): options})
	if err != nil {
		return err
	}
	return s.ask(ctx, http.MethodPost, "/faults", bytes.NewReader(body), nil)
}

// accounts sums up what came since reset.
func (s *simulator) accounts(ctx context.Context) (all map[tocsin.Provider]*sim.Account, err error) {
	return all, s.ask(ctx, http.MethodGet, "/ledger", nil, decodes(&all))
}

// totals are counts of a provider's connections since reset.
func (s *simulator) totals(ctx context.Context, p tocsin.Provider) (sim.Totals, error) {
	var all map[tocsin.Provider]sim.Totals
	err := s.ask(ctx, http.MethodGet, "/totals", nil, decodes(&all))
	return all[p], err
}

// records hands every record since reset, or every one of a send's tag, to f.
func (s *simulator) records(ctx context.Context, tag string, f func(*sim.Record)) error {
	return s.ask(ctx, http.MethodGet, "/ledger/records?send="+url.QueryEscape(tag), nil,
		func(in io.Reader) error { return sim.ReadRecords(in, f) })
}

// arrived returns what came since reset, which must be n pushes to n devices
// of one provider, all taken.
func (s *simulator) arrived(ctx context.Context, p tocsin.Provider, n int) (*sim.Account, error) {
	accounts, err := s.accounts(ctx)
	if err != nil {
		return nil, err
	}
	a := accounts[p]
	if a == nil {
		return nil, errors.New("simulator: nothing arrived")
	}
	if len(accounts) != 1 || a.Received != n || a.Accepted != n || a.Distinct != n {
		return nil, fmt.Errorf("simulator: want %d pushes to different devices; received %d, accepted %d, different %d",
			n, a.Received, a.Accepted, a.Distinct)
	}
	return a, nil
}

func decodes(value any) func(io.Reader) error {
	return func(in io.Reader) error { return json.NewDecoder(in).Decode(value) }
}

// ask hands the body of a good answer to read, if that is given.
func (s *simulator) ask(ctx context.Context, method, path string, body io.Reader, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, method, s.setup.Control+path, body)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("simulator: %s %s: %s: %s", method, path, answer.Status, text)
	}
	if read == nil {
		return nil
	}
	return read(answer.Body)
}
