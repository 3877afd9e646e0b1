package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

// Whose project of the simulator is whose.
const (
	ourProject  = 0
	peerProject = 1
)

// simulator is the child that plays the providers.
type simulator struct {
	*child
	setup sim.Setup
	roots *x509.CertPool
}

func startSimulator(ctx context.Context, dir string) (*simulator, error) {
	s := &simulator{roots: x509.NewCertPool()}
	var err error
	if s.child, err = startChild(ctx, dir, partSim, nil, &s.setup); err != nil {
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
	_, err := s.ask(ctx, http.MethodPost, "/reset")
	return err
}

// arrived returns what came since reset, which must be n pushes to n devices,
// all taken.
func (s *simulator) arrived(ctx context.Context, n int) (*sim.Account, error) {
	text, err := s.ask(ctx, http.MethodGet, "/ledger")
	if err != nil {
		return nil, err
	}
	var accounts map[tocsin.Provider]*sim.Account
	if err := json.Unmarshal(text, &accounts); err != nil {
		return nil, err
	}
	a := accounts[tocsin.APNs]
	if a == nil {
		return nil, errors.New("simulator: nothing arrived")
	}
	if len(accounts) != 1 || a.Received != n || a.Accepted != n || a.Distinct != n {
		return nil, fmt.Errorf("simulator: want %d pushes to different devices; received %d, accepted %d, different %d",
			n, a.Received, a.Accepted, a.Distinct)
	}
	return a, nil
}

func (s *simulator) ask(ctx context.Context, method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.setup.Control+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("simulator: %s %s: %s: %s", method, path, answer.Status, text)
	}
	return text, err
}
