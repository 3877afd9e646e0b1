package cli

import (
	"fmt"

	"github.com/tocsin-push/tocsin/journal/kafka"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/snapshot/rows"
)

// logs is how Kafka is reached.
type logs struct {
	Kafka          []string `help:"Some brokers of Kafka." env:"TOCSIN_KAFKA" placeholder:"HOST:PORT,..."`
	KafkaPrefix    string   `help:"Begins the name of each topic and group." env:"TOCSIN_KAFKA_PREFIX" default:"tocsin."`
	KafkaTLS       bool     `help:"Encrypt connections to Kafka; a certificate file does too." env:"TOCSIN_KAFKA_TLS" name:"kafka-tls"`
	KafkaCA        string   `help:"PEM file of those who sign the brokers' certificates." env:"TOCSIN_KAFKA_CA" name:"kafka-ca" type:"path"`
	KafkaCert      string   `help:"PEM file of this process's certificate for Kafka." env:"TOCSIN_KAFKA_CERT" type:"path"`
	KafkaKey       string   `help:"PEM file of its key." env:"TOCSIN_KAFKA_KEY" type:"path"`
	KafkaMechanism string   `help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, with a user and a password." env:"TOCSIN_KAFKA_MECHANISM"`
	KafkaUser      string   `help:"User of the platform in Kafka." env:"TOCSIN_KAFKA_USER"`
	KafkaPassword  string   `help:"File of its password." env:"TOCSIN_KAFKA_PASSWORD" type:"path"`
}

func (c *logs) config() kafka.Config {
	config := kafka.Default()
	config.Brokers, config.Prefix = c.Kafka, c.KafkaPrefix
	config.TLS, config.CA, config.Cert, config.Key = c.KafkaTLS, c.KafkaCA, c.KafkaCert, c.KafkaKey
	config.Mechanism, config.User, config.Password = c.KafkaMechanism, c.KafkaUser, c.KafkaPassword
	return config
}

// peers is how the processes of a cluster ask each other.
type peers struct {
	PeerListen  string `help:"On a cluster: address for the other processes." env:"TOCSIN_PEER_LISTEN" placeholder:"HOST:PORT"`
	PeerAddress string `help:"Where they reach it, if elsewhere." env:"TOCSIN_PEER_ADDRESS" placeholder:"HOST:PORT"`
	PeerCert    string `help:"PEM file of this process's certificate, for process.tocsin.internal." env:"TOCSIN_PEER_CERT" type:"path"`
	PeerKey     string `help:"PEM file of its key." env:"TOCSIN_PEER_KEY" type:"path"`
	PeerCA      string `help:"PEM file of who signed the certificates of all processes." env:"TOCSIN_PEER_CA" name:"peer-ca" type:"path"`
}

// onCluster has a node run on a cluster when servers are named.
func (c *serve) onCluster(s *session, config *node.Config) error {
	switch {
	case len(c.Kafka) == 0 && len(c.Cassandra) == 0:
		if len(c.Roles) > 0 || c.CredentialsKey != "" || c.peers != (peers{}) {
			return fmt.Errorf("%w: --roles, --credentials-key and --peer-... are for a cluster: name its servers with --kafka and --cassandra", errUsage)
		}
		if c.Shards != 0 {
			config.Shards = c.Shards
		}
		return nil
	case len(c.Kafka) == 0 || len(c.Cassandra) == 0:
		return fmt.Errorf("%w: a cluster is both a Kafka and a Cassandra: --kafka and --cassandra go together", errUsage)
	case c.Shards != 0:
		return fmt.Errorf("%w: --shards of a cluster was told to cluster init, and never changes", errUsage)
	}
	tables, err := c.tables.config(s)
	if err != nil {
		return err
	}
	config.Dir, config.Shards = "", 0
	config.Cluster = &node.Cluster{Kafka: c.logs.config(), Cassandra: tables, Snapshots: rows.Default(), Key: c.CredentialsKey}
	config.Peers = node.Peers{Listen: c.PeerListen, Address: c.PeerAddress, Cert: c.PeerCert, Key: c.PeerKey, CA: c.PeerCA}
	if len(c.Roles) > 0 {
		config.Roles = nil
		for _, name := range c.Roles {
			config.Roles = append(config.Roles, node.Role(name))
		}
	}
	if err := config.Validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return nil
}
