package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// Plan is what a cluster lacks of the topics of an installation.
type Plan struct {
	// Shards is the number of partitions of each topic.
	Shards int
	// Missing are topics to create, with Replicas and Settings.
	Missing  []string
	Replicas int
	Settings []Setting
	// Wrong says what is set in a way that could lose what was acknowledged, or
	// does not fit. Nothing of it is changed: topics that exist may hold records.
	Wrong []string
}

// Setting is one of a topic's.
type Setting struct {
	Name, Value, Why string
	enough           func(found int) bool // nil: it must be Value
}

// settings are those that the laws of the journal rest on.
func settings(single bool) []Setting {
	inSync, least := "2", 2
	if single {
		inSync, least = "1", 1
	}
	return []Setting{
		{"min.insync.replicas", inSync, "an acknowledgement means so many machines", func(n int) bool { return n >= least }},
		{"unclean.leader.election.enable", "false", "a broker that lags must not lead: it would drop what was acknowledged", nil},
		{"cleanup.policy", "delete", "compaction would drop records", nil},
		{"retention.ms", "-1", "Tocsin itself trims what nobody needs any more", nil},
		{"retention.bytes", "-1", "Tocsin itself trims what nobody needs any more", nil},
		{"max.message.bytes", "1048588", "a batch may have so many bytes", func(n int) bool { return n >= batchBytes }},
		{"message.timestamp.type", "LogAppendTime", "else a machine whose clock is an hour ahead cannot append", nil},
		{"segment.ms", "3600000", "a segment goes when all of it was trimmed, so it must end", func(n int) bool { return n <= int(24*time.Hour/time.Millisecond) }},
	}
}

// Compare says what the cluster lacks for an installation of so many shards. It
// changes nothing.
func Compare(ctx context.Context, c Config, shards int) (Plan, error) {
	if shards < 1 || shards > tocsin.MaxShards {
		return Plan{}, fmt.Errorf("kafka: there may be 1 to %d shards", tocsin.MaxShards)
	}
	return compare(ctx, c, shards)
}

// compare takes 0 shards for as many as there are.
func compare(ctx context.Context, c Config, shards int) (Plan, error) {
	plan := Plan{Shards: shards, Replicas: 3, Settings: settings(c.Single)}
	if c.Single {
		plan.Replicas = 1
	}
	return plan, administer(ctx, c, func(ctx context.Context, _ *kgo.Client, admin *kadm.Client) error {
		var names []string
		for _, t := range journal.Topics {
			names = append(names, c.topic(t))
		}
		m, err := admin.Metadata(ctx, names...)
		if err != nil {
			return err
		}
		if len(m.Brokers) < plan.Replicas {
			plan.Wrong = append(plan.Wrong, fmt.Sprintf("the cluster has %d brokers; what is to survive the loss of one needs %d", len(m.Brokers), plan.Replicas))
		}
		var there []string
		for _, name := range names {
			t, ok := m.Topics[name]
			if !ok || t.Err != nil {
				plan.Missing = append(plan.Missing, name)
				continue
			}
			there = append(there, name)
			if plan.Shards == 0 {
				plan.Shards = len(t.Partitions)
			}
			if len(t.Partitions) != plan.Shards {
				plan.Wrong = append(plan.Wrong, fmt.Sprintf("%s has %d partitions, not one for each of %d shards; the number never changes", name, len(t.Partitions), plan.Shards))
			}
			for _, p := range t.Partitions.Sorted() {
				if len(p.Replicas) < plan.Replicas {
					plan.Wrong = append(plan.Wrong, fmt.Sprintf("%s/%d has %d replicas, not %d", name, p.Partition, len(p.Replicas), plan.Replicas))
					break
				}
			}
		}
		if len(there) == 0 {
			return nil
		}
		configs, err := admin.DescribeTopicConfigs(ctx, there...)
		if err != nil {
			return err
		}
		for _, name := range there {
			of, err := configs.On(name, nil)
			if err == nil {
				err = of.Err
			}
			if err != nil {
				return fmt.Errorf("settings of %s: %w", name, err)
			}
			plan.Wrong = append(plan.Wrong, wrong(name, of, plan.Settings)...)
		}
		return nil
	})
}

func wrong(topic string, found kadm.ResourceConfig, wanted []Setting) (wrong []string) {
	for _, s := range wanted {
		i := slices.IndexFunc(found.Configs, func(c kadm.Config) bool { return c.Key == s.Name })
		value := ""
		if i >= 0 {
			value = found.Configs[i].MaybeValue()
		}
		good := value == s.Value
		if n, err := strconv.Atoi(value); s.enough != nil {
			good = err == nil && s.enough(n)
		}
		if !good {
			wrong = append(wrong, fmt.Sprintf("%s: %s is %q, should be %s: %s", topic, s.Name, value, s.Value, s.Why))
		}
	}
	return wrong
}

// String is the plan for people to read before it is carried out.
func (p Plan) String() string {
	var b strings.Builder
	for _, name := range p.Missing {
		fmt.Fprintf(&b, "create topic %s: %d partitions, %d replicas\n", name, p.Shards, p.Replicas)
	}
	if len(p.Missing) > 0 {
		b.WriteString("with these settings:\n")
		for _, s := range p.Settings {
			fmt.Fprintf(&b, "  %s=%s  (%s)\n", s.Name, s.Value, s.Why)
		}
	}
	for _, w := range p.Wrong {
		fmt.Fprintf(&b, "WRONG: %s\n", w)
	}
	if b.Len() == 0 {
		return fmt.Sprintf("the topics are as they should be, with %d partitions each\n", p.Shards)
	}
	return b.String()
}

// Err is an error when the plan may not be carried out.
func (p Plan) Err() error {
	if len(p.Wrong) > 0 {
		return fmt.Errorf("kafka: %s", strings.Join(p.Wrong, "; "))
	}
	return nil
}

// Apply creates what is missing, and nothing when something is wrong. It may be
// repeated.
func (p Plan) Apply(ctx context.Context, c Config) error {
	if err := p.Err(); err != nil {
		return err
	}
	if len(p.Missing) == 0 {
		return nil
	}
	set := make(map[string]*string)
	for _, s := range p.Settings {
		set[s.Name] = &s.Value
	}
	return administer(ctx, c, func(ctx context.Context, client *kgo.Client, admin *kadm.Client) error {
		_, err := admin.CreateTopics(ctx, int32(p.Shards), int16(p.Replicas), set, p.Missing...)
		if err != nil {
			return err
		}
		return settled(ctx, client, p)
	})
}

// settled waits until every broker names a leader for every new partition: each
// hears of it in its own time, and a process may ask any of them.
func settled(ctx context.Context, client *kgo.Client, p Plan) error {
	ask := kmsg.NewPtrMetadataRequest()
	for _, name := range p.Missing {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		ask.Topics = append(ask.Topics, topic)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := known(ctx, client, ask, len(p.Missing)*p.Shards)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// known tells which broker does not have a leader for each of so many partitions.
func known(ctx context.Context, client *kgo.Client, ask *kmsg.MetadataRequest, partitions int) error {
	brokers, err := kadm.NewClient(client).ListBrokers(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		answer, err := ask.RequestWith(ctx, client.Broker(int(b.NodeID)))
		if err != nil {
			return err
		}
		led := 0
		for _, t := range answer.Topics {
			for _, part := range t.Partitions {
				if part.Leader >= 0 {
					led++
				}
			}
		}
		if led < partitions {
			return fmt.Errorf("broker %d knows a leader of %d of %d new partitions", b.NodeID, led, partitions)
		}
	}
	return nil
}

// check refuses a cluster that lacks something, and tells its number of shards.
func check(ctx context.Context, c Config) (int, error) {
	plan, err := compare(ctx, c, 0)
	if err == nil {
		err = plan.Err()
	}
	if err == nil && len(plan.Missing) > 0 {
		err = fmt.Errorf("kafka: topics are missing: %s; run tocsin cluster init", strings.Join(plan.Missing, ", "))
	}
	return plan.Shards, err
}

// administer runs do with a client of its own, within a minute.
func administer(ctx context.Context, c Config, do func(ctx context.Context, client *kgo.Client, admin *kadm.Client) error) error {
	options, err := c.connect()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := do(ctx, client, kadm.NewClient(client)); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}
