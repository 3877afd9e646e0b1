package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	npmVersion = "3.6.7"
	npmPushes  = 1000
)

// npmScript encrypts and signs requests without sending them, and prints the
// microseconds of processor time.
const npmScript = `
const push = require('web-push')
const b = JSON.parse(require('fs').readFileSync(0))
const run = n => { for (let i = 0; i < n; i++) push.generateRequestDetails(b.subscription, b.text, {TTL: 86400, urgency: 'high', vapidDetails: b.vapid}) }
run(200)
const start = process.cpuUsage()
run(+process.argv[1])
const used = process.cpuUsage(start)
console.log(used.user + used.system)
`

// npm is an installation of web-push for Node.js.
type npm struct{ dir string }

// newNPM installs it into a folder of the run; the error says why not.
func newNPM(ctx context.Context, dir string) (*npm, error) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, errors.New("there is no " + name)
		}
	}
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	at := filepath.Join(dir, "npm")
	install := exec.CommandContext(ctx, "npm", "install", "--prefix", at, "--no-audit", "--no-fund", "--silent", "web-push@"+npmVersion)
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm install: %v %.200s", err, out)
	}
	return &npm{at}, nil
}

// measure returns the processor seconds of a million requests.
func (n *npm) measure(ctx context.Context, b *browsers) (float64, error) {
	private, public, err := b.vapid()
	if err != nil {
		return 0, err
	}
	m := b.members[0]
	in, err := json.Marshal(map[string]any{
		"text":         string(b.text),
		"subscription": map[string]any{"endpoint": m.Endpoint, "keys": map[string]string{"p256dh": m.P256DH, "auth": m.Auth}},
		"vapid":        map[string]string{"subject": "mailto:push@example.com", "publicKey": public, "privateKey": private},
	})
	if err != nil {
		return 0, err
	}
	node := exec.CommandContext(ctx, "node", "-e", npmScript, strconv.Itoa(npmPushes))
	node.Stdin = bytes.NewReader(in)
	node.Env = append(node.Environ(), "NODE_PATH="+filepath.Join(n.dir, "node_modules"))
	out, err := node.Output()
	if err != nil {
		return 0, err
	}
	us, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return us / npmPushes, err
}
