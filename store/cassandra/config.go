package cassandra

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is how a cluster is reached.
type Config struct {
	// Hosts are some of the nodes, host or host:port; the others are found. All
	// nodes have the port of the first.
	Hosts []string
	// Keyspace is the platform's own: 1 to 48 of [a-z0-9_], a letter first.
	Keyspace string
	// User and Password, both empty where nodes ask for none.
	User, Password string
	// TLS, nil for plain connections. Names in certificates are checked as it says.
	TLS *tls.Config
	// Timeout bounds one attempt: 1 s to 60 s. A conditional put is attempted
	// once, others again.
	Timeout time.Duration
	// Patience is how long a call that may be repeated is, after which its last
	// error is returned: 0 to 60 s.
	Patience time.Duration
	// Speculate is how long an answer may take before another node is asked too,
	// for calls that may be repeated: 10 ms to 10 s.
	Speculate time.Duration
	// Now is the clock by which rows expire.
	Now     func() time.Time
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Default lacks Hosts, Log and Metrics, which the caller must bring.
func Default() Config {
	return Config{Keyspace: "tocsin", Timeout: 3 * time.Second, Patience: 3 * time.Second, Speculate: 100 * time.Millisecond, Now: time.Now}
}

var keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)

func (c Config) Validate() error {
	switch {
	case len(c.Hosts) == 0:
		return errors.New("store: Hosts must name a node of Cassandra at least")
	case !keyspaceName.MatchString(c.Keyspace):
		return errors.New("store: Keyspace must be 1 to 48 of a-z, 0-9 and _, a letter first")
	case (c.User == "") != (c.Password == ""):
		return errors.New("store: User and Password must be both set or both empty")
	case c.Timeout < time.Second || c.Timeout > time.Minute:
		return errors.New("store: Timeout must be 1 s to 60 s")
	case c.Patience < 0 || c.Patience > time.Minute:
		return errors.New("store: Patience must be 0 to 60 s")
	case c.Speculate < 10*time.Millisecond || c.Speculate > 10*time.Second:
		return errors.New("store: Speculate must be 10 ms to 10 s")
	case c.Now == nil || c.Log == nil || c.Metrics == nil:
		return errors.New("store: Now, Log and Metrics must be set")
	}
	return nil
}
