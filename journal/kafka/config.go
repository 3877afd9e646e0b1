package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config is how a cluster is reached and a journal on it is opened.
type Config struct {
	// Brokers are addresses, host:port, of some brokers; the others are learnt.
	Brokers []string
	// Prefix begins the name of each topic and group.
	Prefix string
	// CA is a file with the certificates that brokers are verified by, Cert and
	// Key are this process's own. Any of them, or TLS, makes connections encrypted.
	TLS           bool
	CA, Cert, Key string
	// Mechanism is how User is shown to be who it is: PLAIN, SCRAM-SHA-256 or
	// SCRAM-SHA-512, empty for not at all. Password is a file.
	Mechanism, User, Password string
	// Patience is how long a call tries: 1 s to 1 min. An election takes 10 s with
	// Kafka's own settings. What was to be appended by then may still appear.
	Patience time.Duration
	// Buffer bounds, in bytes, the records of all partitions that have no answer
	// yet: 1 MiB to 4 GiB.
	Buffer int64
	// Tail bounds, in bytes a partition, the records kept in memory for readers
	// that have caught up: 0 to 64 MiB.
	Tail int
	// Reserve is the free space in bytes that a broker's folders must have, else
	// changes are refused with journal.ErrFull, and all else at a quarter of it.
	Reserve int64
	// Single allows topics without replicas, for trials on one machine.
	Single  bool
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Default lacks Brokers, Log and Metrics, which the caller must bring.
func Default() Config {
	return Config{Prefix: "tocsin.", Patience: 10 * time.Second, Buffer: 128 << 20, Tail: 512 << 10, Reserve: 1 << 30}
}

func (c Config) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("kafka: Brokers must name a broker")
	case strings.Trim(c.Prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || len(c.Prefix) > 200:
		return errors.New("kafka: Prefix may have letters, digits, dots, hyphens and underscores only")
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("kafka: Cert and Key come together")
	case c.Mechanism != "" && c.Mechanism != "PLAIN" && c.Mechanism != "SCRAM-SHA-256" && c.Mechanism != "SCRAM-SHA-512":
		return errors.New("kafka: Mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
	case (c.Mechanism == "") != (c.User == "") || (c.User == "") != (c.Password == ""):
		return errors.New("kafka: Mechanism, User and Password come together")
	case c.Mechanism == "PLAIN" && !c.encrypted():
		return errors.New("kafka: PLAIN sends the password as it is, so it needs TLS")
	case c.Patience < time.Second || c.Patience > time.Minute:
		return errors.New("kafka: Patience must be 1 s to 1 min")
	case c.Buffer < 1<<20 || c.Buffer > 4<<30:
		return errors.New("kafka: Buffer must be 1 MiB to 4 GiB")
	case c.Tail < 0 || c.Tail > 64<<20:
		return errors.New("kafka: Tail must be 0 to 64 MiB")
	case c.Reserve < 0:
		return errors.New("kafka: Reserve must not be negative")
	case c.Log == nil || c.Metrics == nil:
		return errors.New("kafka: Log and Metrics must be set")
	}
	return nil
}

func (c Config) encrypted() bool { return c.TLS || c.CA != "" || c.Cert != "" }

// connect are the options of every client. A broker that is paused keeps its
// connections, so that only time limits tell: 3 s for what is to answer at once.
func (c Config) connect() ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("tocsin"),
		kgo.RequestTimeoutOverhead(time.Second), kgo.DialTimeout(2 * time.Second),
		kgo.MetadataMaxAge(2 * time.Second), kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.RetryTimeout(c.Patience),
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(20*time.Millisecond<<min(tries, 10), 500*time.Millisecond)
		}),
	}
	if c.encrypted() {
		t := &tls.Config{MinVersion: tls.VersionTLS12}
		if c.CA != "" {
			text, err := os.ReadFile(c.CA)
			if err != nil {
				return nil, fmt.Errorf("kafka: %w", err)
			}
			if t.RootCAs = x509.NewCertPool(); !t.RootCAs.AppendCertsFromPEM(text) {
				return nil, fmt.Errorf("kafka: %s holds no certificate", c.CA)
			}
		}
		if c.Cert != "" {
			own, err := tls.LoadX509KeyPair(c.Cert, c.Key)
			if err != nil {
				return nil, fmt.Errorf("kafka: %w", err)
			}
			t.Certificates = []tls.Certificate{own}
		}
		options = append(options, kgo.DialTLSConfig(t))
	}
	if c.Mechanism == "" {
		return options, nil
	}
	text, err := os.ReadFile(c.Password)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	switch shown := (scram.Auth{User: c.User, Pass: password}); c.Mechanism {
	case "PLAIN":
		options = append(options, kgo.SASL(plain.Auth{User: c.User, Pass: password}.AsMechanism()))
	case "SCRAM-SHA-256":
		options = append(options, kgo.SASL(shown.AsSha256Mechanism()))
	default:
		options = append(options, kgo.SASL(shown.AsSha512Mechanism()))
	}
	return options, nil
}
