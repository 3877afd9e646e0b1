package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// cassandraJars are the server with what it logs with, and its agent.
var cassandraJars = []Jar{{"org.apache.cassandra", "cassandra-all", "5.0.9"}}

// Cassandra is a cluster of nodes, all seeds of each other.
type Cassandra struct {
	Nodes []*Node

	java, libs string
}

// Node is one of the cluster, with the address that clients find it at. Nodes
// have addresses 127.0.0.1 to 127.0.0.3 and one port.
type Node struct {
	*Process
	Address string
	Dir     string // what it keeps: data, commitlog, hints
	JMX     int    // port of 127.0.0.1 for nodetool
}

// StartCassandra fetches Cassandra into jars, writes what the nodes need into
// dir, and returns when all n of them, one or three, serve. Each takes about
// 600 MB. Settings are lines of cassandra.yaml that are other than usual here.
func StartCassandra(ctx context.Context, jars, dir string, n int, settings ...string) (*Cassandra, error) {
	libs, err := Fetch(ctx, jars, "cassandra", cassandraJars...)
	if err != nil {
		return nil, err
	}
	java, err := java()
	if err != nil {
		return nil, err
	}
	ports, err := Ports(3 + n)
	if err != nil {
		return nil, err
	}
	c := &Cassandra{java: java, libs: libs}
	for i := range n {
		node, err := c.node(filepath.Join(dir, fmt.Sprintf("cassandra-%d", i+1)), i, n, ports, settings)
		if err == nil {
			err = node.Start()
		}
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Nodes = append(c.Nodes, node)
	}
	if err := c.Ready(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// node writes one node's folder.
func (c *Cassandra) node(home string, i, n int, ports []int, settings []string) (*Node, error) {
	var seeds []string
	for i := range n {
		seeds = append(seeds, fmt.Sprintf("127.0.0.%d", i+1))
	}
	tokens := []string{"0"}
	if n == 3 { // a third of the ring each
		tokens = []string{"-9223372036854775808", "-3074457345618258603", "3074457345618258602"}
	}
	if len(tokens) != n {
		return nil, fmt.Errorf("engines: %d nodes of Cassandra, want 1 or 3", n)
	}
	yaml := fmt.Sprintf(cassandraYAML, tokens[i], seeds[i], seeds[i], ports[0], ports[1], ports[2], strings.Join(seeds, ","), home)
	for _, line := range settings {
		name, _, _ := strings.Cut(line, ":")
		if at := strings.Index(yaml, "\n"+name+":"); at >= 0 {
			end := at + 1 + strings.IndexByte(yaml[at+1:], '\n')
			yaml = yaml[:at] + yaml[end:]
		}
		yaml += line + "\n"
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	config, logging, options := filepath.Join(home, "cassandra.yaml"), filepath.Join(home, "logback.xml"), filepath.Join(home, "java.args")
	for file, text := range map[string]string{config: yaml, logging: cassandraLogging, options: javaOptions()} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	jmx := ports[3+i]
	args := []string{c.java, "@" + options, "-Xms128m", "-Xmx512m", "-javaagent:" + filepath.Join(c.libs, "jamm-0.4.0.jar"),
		"-Dcassandra.config=file://" + config, "-Dcassandra.storagedir=" + home, "-Dcassandra.logdir=" + filepath.Join(home, "logs"),
		"-Dlogback.configurationFile=" + logging, fmt.Sprintf("-Dcassandra.jmx.local.port=%d", jmx), "-Dcassandra-foreground=yes",
		"-Dcassandra.shutdown_announce_in_ms=0", "-cp", filepath.Join(c.libs, "*"), "org.apache.cassandra.service.CassandraDaemon"}
	if os.Geteuid() == 0 { // else mlockall makes the whole heap resident
		args = append([]string{"setpriv", "--bounding-set=-ipc_lock"}, args...)
	}
	p := NewProcess(fmt.Sprintf("cassandra node %d", i+1), filepath.Join(home, "output"), args[0], args[1:]...)
	return &Node{p, fmt.Sprintf("%s:%d", seeds[i], ports[2]), home, jmx}, nil
}

// Hosts are the addresses of all nodes.
func (c *Cassandra) Hosts() []string {
	var hosts []string
	for _, n := range c.Nodes {
		hosts = append(hosts, n.Address)
	}
	return hosts
}

// Ready returns when all nodes that run answer, and know all others.
func (c *Cassandra) Ready(ctx context.Context) error {
	for _, n := range c.Nodes {
		if !n.Runs() {
			continue
		}
		if err := Await(ctx, "waiting for "+n.Name, func(ctx context.Context) error { return c.knows(ctx, n) }, n.Process); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cassandra) knows(ctx context.Context, n *Node) error {
	host, port, _ := strings.Cut(n.Address, ":")
	config := gocql.NewCluster(host)
	if _, err := fmt.Sscan(port, &config.Port); err != nil {
		return err
	}
	config.ProtoVersion, config.DisableInitialHostLookup, config.ConnectTimeout = 5, true, time.Second
	config.Logger = silent{}
	session, err := config.CreateSession()
	if err != nil {
		return err
	}
	defer session.Close()
	var peers int
	if err := session.Query("SELECT count(*) FROM system.peers_v2").ScanContext(ctx, &peers); err != nil {
		return err
	}
	if peers != len(c.Nodes)-1 {
		return fmt.Errorf("%s knows %d other nodes of %d", n.Name, peers, len(c.Nodes)-1)
	}
	return nil
}

// silent says nothing of the attempts to reach a node that still starts.
type silent struct{}

func (silent) Error(string, ...gocql.LogField)   {}
func (silent) Warning(string, ...gocql.LogField) {}
func (silent) Info(string, ...gocql.LogField)    {}
func (silent) Debug(string, ...gocql.LogField)   {}

// Nodetool runs a command of Cassandra's own tool on a node, and returns what it
// printed.
func (c *Cassandra) Nodetool(ctx context.Context, n *Node, args ...string) (string, error) {
	all := append([]string{"@" + filepath.Join(n.Dir, "java.args"), "-XX:TieredStopAtLevel=1", "-Xmx64m", "-Dlogback.configurationFile=" + filepath.Join(n.Dir, "logback.xml"),
		"-cp", filepath.Join(c.libs, "*"), "org.apache.cassandra.tools.NodeTool", "-p", fmt.Sprint(n.JMX)}, args...)
	out, err := exec.CommandContext(ctx, c.java, all...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("engines: nodetool %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Close kills all nodes.
func (c *Cassandra) Close() error {
	for _, n := range c.Nodes {
		n.Process.Close()
	}
	return nil
}
