package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaJars are the broker and what it logs with.
var kafkaJars = []Jar{
	{"org.apache.kafka", "kafka_2.13", "4.4.0"},
	{"org.apache.logging.log4j", "log4j-slf4j-impl", "2.25.5"},
}

// Kafka is a cluster of brokers that are controllers too.
type Kafka struct {
	Brokers []*Broker
	client  *kgo.Client
}

// Broker is one of the cluster, with the address that clients find it at.
type Broker struct {
	*Process
	ID      int32
	Address string
}

// StartKafka fetches Kafka into jars, writes what the brokers need into dir, and
// returns when all n of them serve. With three, topics have three replicas of
// which two must be in sync.
func StartKafka(ctx context.Context, jars, dir string, n int) (*Kafka, error) {
	libs, err := Fetch(ctx, jars, "kafka", kafkaJars...)
	if err != nil {
		return nil, err
	}
	java, err := java()
	if err != nil {
		return nil, err
	}
	ports, err := Ports(2 * n)
	if err != nil {
		return nil, err
	}
	k := &Kafka{}
	var voters []string
	for i := range n {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, ports[n+i]))
	}
	for i := range n {
		home := filepath.Join(dir, fmt.Sprintf("kafka-%d", i+1))
		b, err := newBroker(java, libs, home, int32(i+1), ports[i], ports[n+i], strings.Join(voters, ","))
		if err == nil {
			err = b.Start()
		}
		if err != nil {
			return nil, errors.Join(err, k.Close())
		}
		k.Brokers = append(k.Brokers, b)
	}
	if k.client, err = kgo.NewClient(kgo.SeedBrokers(k.Seeds()...), kgo.MetadataMinAge(100*time.Millisecond), kgo.RequestTimeoutOverhead(time.Second)); err == nil {
		err = k.Ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, k.Close())
	}
	return k, nil
}

// newBroker writes and formats one broker's folder.
func newBroker(java, libs, home string, id int32, port, controller int, voters string) (*Broker, error) {
	replicas, inSync := 1, 1
	if strings.Contains(voters, ",") {
		replicas, inSync = 3, 2
	}
	properties := fmt.Sprintf(kafkaProperties, id, voters, port, controller, port, filepath.Join(home, "data"), replicas, inSync)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	settings, logging := filepath.Join(home, "server.properties"), filepath.Join(home, "log4j2.properties")
	for file, text := range map[string]string{settings: properties, logging: kafkaLogging} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	log := filepath.Join(home, "output")
	common := []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", filepath.Join(libs, "*"), "-Dlog4j2.configurationFile=" + logging}
	format := NewProcess("kafka format", log, java, append(common, "kafka.tools.StorageTool", "format", "-t", "dG9jc2luLXRlc3QtY2x1c3", "-c", settings)...)
	if err := format.Start(); err != nil {
		return nil, err
	}
	if <-format.run.done; format.run.err != nil {
		return nil, fmt.Errorf("engines: formatting %s: %w\n%s", home, format.run.err, format.tail())
	}
	// 256 MB of heap carry 270,000 records a second of three brokers.
	args := append([]string{"-Xmx256m", "-Xms128m"}, append(common, "kafka.Kafka", settings)...)
	return &Broker{NewProcess(fmt.Sprintf("kafka broker %d", id), log, java, args...), id, fmt.Sprintf("127.0.0.1:%d", port)}, nil
}

// Seeds are the addresses of all brokers.
func (k *Kafka) Seeds() []string {
	var seeds []string
	for _, b := range k.Brokers {
		seeds = append(seeds, b.Address)
	}
	return seeds
}

// Ready returns when all brokers that run are members and every partition has a
// leader and its replicas in sync, as far as their brokers run.
func (k *Kafka) Ready(ctx context.Context) error {
	var servers []*Process
	for _, b := range k.Brokers {
		if b.Runs() {
			servers = append(servers, b.Process)
		}
	}
	admin := kadm.NewClient(k.client)
	return Await(ctx, "waiting for the brokers", func(ctx context.Context) error {
		m, err := admin.Metadata(ctx)
		switch {
		case err != nil:
			return err
		case len(m.Brokers) != len(servers) || m.Controller < 0:
			return fmt.Errorf("%d brokers of %d, controller %d", len(m.Brokers), len(servers), m.Controller)
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				if p.Leader < 0 || len(p.ISR) < min(len(p.Replicas), len(servers)) {
					return fmt.Errorf("%s/%d has leader %d and %d of %d replicas in sync: %w", p.Topic, p.Partition, p.Leader, len(p.ISR), len(p.Replicas), p.Err)
				}
			}
		}
		return nil
	}, servers...)
}

// Leader is the broker that leads a partition.
func (k *Kafka) Leader(ctx context.Context, topic string, partition int32) (*Broker, error) {
	m, err := kadm.NewClient(k.client).Metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	return k.broker(m.Topics[topic].Partitions[partition].Leader)
}

// Coordinator is the broker that coordinates a consumer group. The first group
// of all has one once the brokers have made the topic of groups.
func (k *Kafka) Coordinator(ctx context.Context, group string) (b *Broker, err error) {
	r := kmsg.NewPtrFindCoordinatorRequest()
	r.CoordinatorKeys = []string{group}
	return b, Await(ctx, "finding the coordinator", func(ctx context.Context) error {
		response, err := r.RequestWith(ctx, k.client)
		if err != nil {
			return err
		}
		if len(response.Coordinators) != 1 {
			return fmt.Errorf("%d coordinators", len(response.Coordinators))
		}
		if err := kerr.ErrorForCode(response.Coordinators[0].ErrorCode); err != nil {
			return err
		}
		b, err = k.broker(response.Coordinators[0].NodeID)
		return err
	})
}

func (k *Kafka) broker(id int32) (*Broker, error) {
	for _, b := range k.Brokers {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, fmt.Errorf("engines: there is no broker %d", id)
}

// Close kills all brokers. Their folders stay.
func (k *Kafka) Close() error {
	if k.client != nil {
		k.client.Close()
	}
	for _, b := range k.Brokers {
		b.Close()
	}
	return nil
}

// kafkaProperties: the last block makes failures quick to notice, for tests.
const kafkaProperties = `process.roles=broker,controller
node.id=%[1]d
controller.quorum.voters=%[2]s
listeners=BROKER://127.0.0.1:%[3]d,CONTROLLER://127.0.0.1:%[4]d
advertised.listeners=BROKER://127.0.0.1:%[5]d
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=%[6]s
default.replication.factor=%[7]d
min.insync.replicas=%[8]d
offsets.topic.replication.factor=%[7]d
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=%[7]d
transaction.state.log.min.isr=%[8]d
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=%[7]d
share.coordinator.state.topic.min.isr=%[8]d
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=400
replica.lag.time.max.ms=3000
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
`

// kafkaLogging: without the hook the end of what a broker says when it stops
// would be cut off.
const kafkaLogging = `shutdownHook = disable
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %m (%c)%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
`
