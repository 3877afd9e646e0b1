package kafka_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tocsin-push/tocsin/journal/kafka"
)

func TestAPlanIsCarriedOutOnceAndThenThereIsNothingToDo(t *testing.T) {
	c := fresh(fake(t, 3)...)
	if _, err := kafka.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cluster init") {
		t.Errorf("opened without topics: %v", err)
	}
	for round := range 2 {
		plan, err := kafka.Compare(t.Context(), c, shards)
		if err != nil {
			t.Fatal(err)
		}
		if want := 4 - 4*round; len(plan.Missing) != want || plan.Err() != nil {
			t.Fatalf("round %d: %s", round, plan)
		}
		if err := plan.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, c)
	defer j.Close()
	if j.Shards() != shards {
		t.Errorf("%d shards", j.Shards())
	}
	if plan, err := kafka.Compare(t.Context(), c, shards+1); err != nil || plan.Err() == nil {
		t.Errorf("another number of shards is accepted: %v", err)
	}
}

func TestSettingsThatCouldLoseRecordsAreRefused(t *testing.T) {
	for _, bad := range []struct{ name, value string }{
		{"min.insync.replicas", "1"},
		{"unclean.leader.election.enable", "true"},
		{"cleanup.policy", "compact"},
		{"retention.ms", "604800000"},
		{"retention.bytes", "1000000"},
		{"max.message.bytes", "100000"},
		{"message.timestamp.type", "CreateTime"},
		{"segment.ms", "604800000"},
	} {
		t.Run(bad.name, func(t *testing.T) {
			c := fresh(fake(t, 3)...)
			create(t, c)
			client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(),
				[]kadm.AlterConfig{{Op: kadm.SetConfig, Name: bad.name, Value: &bad.value}}, c.Prefix+"ledger"); err != nil {
				t.Fatal(err)
			}
			if _, err := kafka.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "ledger: "+bad.name) {
				t.Errorf("opened with %s=%s: %v", bad.name, bad.value, err)
			}
		})
	}
}

func TestOneMachineIsRefusedUnlessItIsMeant(t *testing.T) {
	c := fresh(fake(t, 1)...)
	create(t, c) // fresh says that it is meant
	c.Single = false
	if _, err := kafka.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "1 brokers") || !strings.Contains(err.Error(), "1 replicas") {
		t.Errorf("opened: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*kafka.Config){
		"no brokers":           func(c *kafka.Config) { c.Brokers = nil },
		"prefix":               func(c *kafka.Config) { c.Prefix = "a b" },
		"half a pair":          func(c *kafka.Config) { c.Cert = "cert.pem" },
		"mechanism":            func(c *kafka.Config) { c.Mechanism, c.User, c.Password = "GSSAPI", "u", "p" },
		"no user":              func(c *kafka.Config) { c.Mechanism = "SCRAM-SHA-512" },
		"password in the open": func(c *kafka.Config) { c.Mechanism, c.User, c.Password = "PLAIN", "u", "p" },
		"patience":             func(c *kafka.Config) { c.Patience = 0 },
		"buffer":               func(c *kafka.Config) { c.Buffer = 1 },
		"tail":                 func(c *kafka.Config) { c.Tail = -1 },
		"reserve":              func(c *kafka.Config) { c.Reserve = -1 },
		"log":                  func(c *kafka.Config) { c.Log = nil },
	} {
		c := fresh("127.0.0.1:1")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		if spoil(&c); c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
