package cli

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// serve runs a node, on its own or as a process of a cluster.
type serve struct {
	Dir    string `help:"Data folder; made at the first start." env:"TOCSIN_DIR" default:"tocsin-data" type:"path"`
	Listen string `help:"Address of the API." env:"TOCSIN_LISTEN" default:"127.0.0.1:8080"`
	Shards int    `help:"Number of shards; fixed at the first start. Two a processor suit, and each costs every send a little." env:"TOCSIN_SHARDS" placeholder:"4"`

	Roles          []string `help:"On a cluster: what this process does, of receipt, plan, fanout and api; all without it." env:"TOCSIN_ROLES" placeholder:"ROLE,..."`
	logs           `embed:""`
	tables         `embed:""`
	peers          `embed:""`
	CredentialsKey string `help:"On a cluster: file of the key that cluster init made." env:"TOCSIN_CREDENTIALS_KEY" type:"path"`
}

func (c *serve) Run(s *session) error {
	config := node.Default()
	config.Dir, config.Listen = c.Dir, c.Listen
	if err := c.onCluster(s, &config); err != nil {
		return err
	}
	err := node.Run(s.ctx, config, s.logger(), func(up node.Up) {
		fmt.Fprintf(s.out, "Tocsin is up at %s\n", up.URL)
		if up.First {
			fmt.Fprintf(s.out, "First start. The admin key is in %s (mode 0600).\n", up.AdminKeyFile)
		}
		if up.AdminKeyFile == "" {
			return
		}
		fmt.Fprintf(s.out, "  export TOCSIN_URL=%s TOCSIN_KEY=@%s\n", up.URL, up.AdminKeyFile)
	})
	return listening(err, "--listen")
}

// listening keeps an address that could not be had apart from a node that
// could not be reached: its network error is not to be found by report.
func listening(err error, flag string) error {
	var network *net.OpError
	switch {
	case !errors.As(err, &network) || network.Op != "listen":
		return err
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another process\nChoose another address with %s", network.Addr, flag)
	}
	return fmt.Errorf("%v\nChoose another address with %s", err, flag)
}

// simulate runs the simulated providers.
type simulate struct {
	Credentials string  `help:"Where the credentials of the first project are written, ready for POST /v1/projects." default:"credentials.json" type:"path"`
	Setup       string  `help:"Where the credentials of all projects and the control address are written." type:"path"`
	Projects    int     `help:"How many projects get credentials." default:"1"`
	Seed        uint64  `help:"Seed of the answers." default:"1"`
	Host        string  `help:"Loopback address to listen on." default:"127.0.0.1"`
	Control     int     `help:"Port of the control endpoint; 0 is any free one." default:"0"`
	FCMQuota    int     `help:"Pushes per minute that each FCM project grants; 0 is none." default:"600000"`
	Gone        float64 `help:"Share of dead addresses, 0 to 1." default:"0"`
	Faults      string  `help:"How the providers behave, as JSON, or @FILE that holds it; see above." placeholder:"JSON"`
}

// Help is shown by tocsin sim --help.
func (c *simulate) Help() string {
	return `Faults are drawn by the seed for each address, or befall connections, by provider (apns, fcm, webpush):

  {"apns": {"shares": {"gone": 0.01, "throttled": 0.02}, "delay": "50ms"}}

shares (0 to 1, of all addresses): gone bad_token slow throttled unavailable expired lost cut reset refused black_hole.

Answers: delay, slow_delay, failures (attempts that a passing fault lasts), retry_after (seconds), script.

Limits: streams, first_stream, max_rate (pushes a second), quota (a minute), quota_window, revoked, token_age.

Connections: goaway_every (pushes), and under "network": goaway_period, reset_period, refuse_period with refuse_burst,
silent (so many go dead), drip (bytes a second), no_handshake.

Later and unannounced, one after the other:

  {"fcm": {"quota": 600000, "then": [{"after": "30s", "set": {"quota": 150000}}, {"after": "30s", "set": {"quota": 900000}}]}}

POST /faults of the control endpoint takes the same while the providers run; GET /faults shows what is in force.`
}

func (c *simulate) Run(s *session) error {
	config := sim.Default()
	config.Seed, config.Host, config.Projects, config.ControlPort = c.Seed, c.Host, c.Projects, c.Control
	config.CredentialsFile, config.SetupFile = c.Credentials, c.Setup
	config.FCM.Quota = c.FCMQuota
	for _, o := range []*sim.Options{&config.APNs, &config.FCM, &config.WebPush} {
		o.Shares.Gone = c.Gone
	}
	if c.Faults != "" {
		text := []byte(c.Faults)
		if name, ok := strings.CutPrefix(c.Faults, "@"); ok {
			var err error
			if text, err = os.ReadFile(name); err != nil {
				return err
			}
		}
		if err := config.SetFaults(text); err != nil {
			return err
		}
	}
	return listening(sim.Run(s.ctx, config, s.logger()), "--host and --control")
}
