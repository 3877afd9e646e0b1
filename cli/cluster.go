package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin/journal/kafka"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/store/cassandra"
)

type cluster struct {
	Init clusterInit `cmd:"" help:"Prepare servers that you run: print what is missing, then make it."`
}

// clusterInit looks at servers, prints a plan, and follows it once told to.
type clusterInit struct {
	tables `embed:""`
	logs   `embed:""`
	Shards int    `help:"Number of shards, which never changes: as many processes as that at most share a send." default:"64"`
	Keys   string `help:"Folder for the key that every process needs and for the first admin key, made once." default:"tocsin-keys" type:"path"`

	SingleMachine bool `help:"For trying out: one replica, which the loss of a machine takes with it."`
	Yes           bool `help:"Do what is printed; else only print it."`
}

// tables is how Cassandra is reached.
type tables struct {
	Cassandra []string `help:"Some nodes of Cassandra, HOST or HOST:PORT." env:"TOCSIN_CASSANDRA" placeholder:"HOST,..."`
	Keyspace  string   `help:"Keyspace of the platform." env:"TOCSIN_KEYSPACE" default:"tocsin"`
	User      string   `help:"Role of the platform in Cassandra." env:"TOCSIN_CASSANDRA_USER" name:"cassandra-user"`
	Password  string   `help:"Its password, or @FILE that holds it." env:"TOCSIN_CASSANDRA_PASSWORD" name:"cassandra-password"`
	CA        string   `help:"PEM file of those who sign the nodes' certificates; without it connections are plain." env:"TOCSIN_CASSANDRA_CA" name:"cassandra-ca" type:"existingfile"`
}

func (c *tables) config(s *session) (cassandra.Config, error) {
	config := cassandra.Default()
	config.Hosts, config.Keyspace, config.User, config.Password = c.Cassandra, c.Keyspace, c.User, c.Password
	config.Log, config.Metrics = s.logger(), prometheus.NewRegistry()
	if name, ok := strings.CutPrefix(c.Password, "@"); ok {
		text, err := os.ReadFile(name)
		if err != nil {
			return config, fmt.Errorf("password: %w", err)
		}
		config.Password = strings.TrimSpace(string(text))
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return config, fmt.Errorf("ca: %w", err)
		}
		config.TLS = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !config.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return config, fmt.Errorf("%w: %s holds no certificate", errUsage, c.CA)
		}
	}
	if err := config.Validate(); err != nil {
		return config, fmt.Errorf("%w: %w", errUsage, err)
	}
	return config, nil
}

func (c *clusterInit) Run(s *session) error {
	config, err := c.tables.config(s)
	if err != nil {
		return err
	}
	// A new table takes as long as the slowest node.
	config.Timeout = 30 * time.Second
	logs := c.logs.config()
	logs.Single, logs.Log, logs.Metrics = c.SingleMachine, s.logger(), prometheus.NewRegistry()
	if err := logs.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	replicas := cassandra.MinReplicas
	if c.SingleMachine {
		replicas = 1
	}
	tables, err := cassandra.Prepare(s.ctx, config, replicas)
	if err != nil {
		return err
	}
	defer tables.Close()
	topics, err := kafka.Compare(s.ctx, logs, c.Shards)
	if err != nil {
		return err
	}
	c.print(s, tables, topics)
	switch {
	case len(tables.Problems) > 0 || topics.Err() != nil:
		return errors.New("with these settings what is acknowledged could be lost: nothing was changed")
	case !c.Yes:
		fmt.Fprintln(s.out, "Nothing was changed. Run it again with --yes to do this.")
		return nil
	}
	if err := tables.Apply(s.ctx); err != nil {
		return err
	}
	if err := topics.Apply(s.ctx, logs); err != nil {
		return err
	}
	config.Metrics = prometheus.NewRegistry()
	done, err := node.InstallOn(s.ctx, config, c.Shards, c.SingleMachine, c.Keys, s.logger())
	if err != nil {
		return err
	}
	if !done.Made {
		fmt.Fprintln(s.out, "Done; the installation was there, and no key was made.")
		return nil
	}
	fmt.Fprintf(s.out, "Done. Every process needs %s (--credentials-key); the first admin key is in %s. Both have mode 0600; keep a copy of the first.\n", done.KeyFile, done.AdminFile)
	return nil
}

func (c *clusterInit) print(s *session, tables *cassandra.Preparation, topics kafka.Plan) {
	fmt.Fprintf(s.out, "Cassandra, keyspace %s:\n", c.Keyspace)
	for _, one := range tables.Unread {
		fmt.Fprintf(s.out, "  not seen: %s\n", one)
	}
	for _, one := range tables.Problems {
		fmt.Fprintf(s.out, "  refused: %s\n", one)
	}
	for _, one := range tables.Steps {
		fmt.Fprintf(s.out, "  %s\n", one)
	}
	if len(tables.Problems)+len(tables.Steps) == 0 {
		fmt.Fprintln(s.out, "  all is there")
	}
	fmt.Fprintf(s.out, "Kafka, topics %s*:\n", c.KafkaPrefix)
	for line := range strings.Lines(topics.String()) {
		fmt.Fprint(s.out, "  ", line)
	}
}
