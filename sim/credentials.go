package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/tocsin-push/tocsin/client"
)

// Setup is what a sender needs to talk to the simulators.
type Setup struct {
	Control  string                  `json:"control"`  // URL of the control endpoint
	Browser  string                  `json:"browser"`  // WebSocket URL for dom.push.serverURL
	Root     string                  `json:"root"`     // PEM of the root that signs every simulator
	Projects []client.ProjectRequest `json:"projects"` // ready for POST /v1/projects
}

// newAPNsAccount makes the n-th team, and the half of its key that Apple keeps.
func newAPNsAccount(n int) (*client.APNsCredential, *apnsKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("sim: provider token key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("sim: provider token key: %w", err)
	}
	account := &client.APNsCredential{
		Key:    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		KeyID:  fmt.Sprintf("SIMKEY%04d", n),
		TeamID: fmt.Sprintf("SIMTEAM%03d", n),
		Topics: []string{Topic(n)},
	}
	return account, &apnsKey{id: account.KeyID, team: account.TeamID, topics: account.Topics, public: &private.PublicKey}, nil
}

// Topic is the bundle id of the n-th project's app, from 0.
func Topic(n int) string { return fmt.Sprintf("app.tocsin.newsroom%d", n) }
