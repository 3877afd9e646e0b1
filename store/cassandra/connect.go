package cassandra

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// connect opens a session. Names of tables are written with their keyspace: a
// session that has one warns of its prepared statements after each restart.
func connect(c Config) (*gocql.Session, error) {
	config := gocql.NewCluster()
	for i, at := range c.Hosts {
		host, port, err := net.SplitHostPort(at)
		if err != nil { // without a port
			config.Hosts = append(config.Hosts, at)
			continue
		}
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return nil, fmt.Errorf("store: port of host %q is no number from 1 to 65535", at)
		}
		config.Hosts = append(config.Hosts, host)
		if i == 0 {
			config.Port = n
		}
	}
	config.ProtoVersion = 5
	config.Consistency, config.SerialConsistency = gocql.Quorum, gocql.Serial
	config.Timeout, config.WriteTimeout, config.ConnectTimeout = c.Timeout, c.Timeout, min(c.Timeout, 3*time.Second)
	config.ReconnectInterval = time.Second
	config.ReconnectionPolicy = &gocql.ConstantReconnectionPolicy{MaxRetries: 3, Interval: 500 * time.Millisecond}
	config.WriteCoalesceWaitTime = 0
	config.DefaultTimestamp = false // plain writes bring their own, conditional ones must have none
	config.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy(), gocql.ShuffleReplicas())
	config.Logger = driverLog{c.Log}
	if c.User != "" {
		config.Authenticator = gocql.PasswordAuthenticator{Username: c.User, Password: c.Password}
	}
	if c.TLS != nil {
		config.SslOpts = &gocql.SslOptions{Config: c.TLS, EnableHostVerification: !c.TLS.InsecureSkipVerify}
	}
	session, err := config.CreateSession()
	if err != nil {
		return nil, fmt.Errorf("store: connecting to Cassandra: %w", err)
	}
	return session, nil
}

// driverLog takes what the driver tells: of hosts and connections, never of
// statements' values. It calls errors what it gets over by itself.
type driverLog struct{ log *slog.Logger }

func (d driverLog) tell(level slog.Level, message string, fields []gocql.LogField) {
	ctx := context.Background()
	if !d.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, len(fields))
	for i, f := range fields {
		attrs[i] = slog.String(f.Name, f.Value.String())
	}
	d.log.LogAttrs(ctx, level, "Cassandra driver: "+message, attrs...)
}

func (d driverLog) Error(m string, f ...gocql.LogField)   { d.tell(slog.LevelWarn, m, f) }
func (d driverLog) Warning(m string, f ...gocql.LogField) { d.tell(slog.LevelWarn, m, f) }
func (d driverLog) Info(m string, f ...gocql.LogField)    { d.tell(slog.LevelDebug, m, f) }
func (d driverLog) Debug(string, ...gocql.LogField)       {}
