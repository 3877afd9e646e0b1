package sim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

const (
	messagingScope = "https://www.googleapis.com/auth/firebase.messaging"
	platformScope  = "https://www.googleapis.com/auth/cloud-platform"
	jwtBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// tokenEndpoint exchanges a service account's assertion for an access token,
// RFC 7523.
type tokenEndpoint struct {
	uri      string
	accounts *fcmAccounts
	projects map[string]*fcmProject // by client_email
	keyID    string
	public   *rsa.PublicKey
	rules    *atomic.Pointer[rules]
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/token" {
		http.NotFound(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	if r.FormValue("grant_type") != jwtBearer {
		oauthError(w, "unsupported_grant_type", "grant_type must be "+jwtBearer)
		return
	}
	project, why := e.check(r.FormValue("assertion"), time.Now())
	if why != "" {
		oauthError(w, "invalid_grant", why)
		return
	}
	age := time.Duration(e.rules.Load().TokenAge)
	token := "ya29.sim-" + rand.Text()
	e.accounts.grant(token, &fcmAccess{project: project, expires: time.Now().Add(age)})
	w.Header().Set("Cache-Control", "no-store")
	write(w, map[string]any{"access_token": token, "expires_in": int(age.Seconds()), "token_type": "Bearer"})
}

func oauthError(w http.ResponseWriter, code, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": why})
}

// check returns the project that an assertion speaks for, or why it does not.
func (e *tokenEndpoint) check(assertion string, now time.Time) (*fcmProject, string) {
	t, err := parseJWT([]byte(assertion))
	if err != nil {
		return nil, "Invalid JWT."
	}
	project := e.projects[t.Claims.Issuer]
	issued, expires := time.Unix(t.Claims.Issued, 0), time.Unix(t.Claims.Expires, 0)
	scopes := " " + t.Claims.Scope + " "
	switch {
	case project == nil:
		return nil, "Invalid grant: account not found."
	case e.rules.Load().Revoked || t.Header.Key != "" && t.Header.Key != e.keyID || !t.byRS256(e.public):
		return nil, "Invalid JWT Signature."
	case t.Claims.Audience != e.uri:
		return nil, "Invalid JWT: wrong audience."
	case issued.After(now.Add(clockSkew)) || !expires.After(now) || expires.Sub(issued) > time.Hour:
		return nil, "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
	case !strings.Contains(scopes, " "+messagingScope+" ") && !strings.Contains(scopes, " "+platformScope+" "):
		return nil, "Invalid OAuth scope."
	}
	return project, ""
}

// newServiceAccounts makes the key files of n Firebase projects. They share one
// RSA key, which is slow to make; each has an account of its own.
func newServiceAccounts(n int, tokenURI string) ([]*client.FCMCredential, *tokenEndpoint, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, fmt.Errorf("sim: service account key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("sim: service account key: %w", err)
	}
	e := &tokenEndpoint{uri: tokenURI, accounts: &fcmAccounts{}, projects: make(map[string]*fcmProject),
		keyID: "5ee17a7e51a1", public: &private.PublicKey}
	files := make([]*client.FCMCredential, n)
	for i := range files {
		project := fmt.Sprintf("sim-newsroom-%d", i)
		email := "sender@" + project + ".iam.gserviceaccount.com"
		file, err := json.Marshal(map[string]string{"type": "service_account", "project_id": project,
			"private_key_id": e.keyID, "client_email": email, "client_id": fmt.Sprint(100000000000 + i), "token_uri": tokenURI,
			"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
		if err != nil {
			return nil, nil, fmt.Errorf("sim: service account: %w", err)
		}
		files[i] = &client.FCMCredential{ServiceAccount: file}
		e.projects[email] = &fcmProject{id: project}
	}
	return files, e, nil
}
