//go:build engines

package engines_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tocsin-push/tocsin/engines"
)

func TestBrokersArePausedKilledAndRestarted(t *testing.T) {
	ctx := t.Context()
	jars, err := engines.Folder()
	if err != nil {
		t.Fatal(err)
	}
	kafka, err := engines.StartKafka(ctx, jars, t.TempDir(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kafka.Close() })
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.Seeds()...), kgo.DefaultProduceTopic("words"),
		kgo.ProduceRequestTimeout(2*time.Second), kgo.RequestTimeoutOverhead(time.Second), kgo.MetadataMaxAge(2*time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 3, nil, "words"); err != nil {
		t.Fatal(err)
	}
	if err := kafka.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for _, hurt := range []struct {
		name       string
		harm, heal func(*engines.Broker) error
	}{
		{"pause", func(b *engines.Broker) error { return b.Pause() }, func(b *engines.Broker) error { return b.Resume() }},
		{"kill", func(b *engines.Broker) error { return b.Kill() }, func(b *engines.Broker) error { return b.Start() }},
		{"stop", func(b *engines.Broker) error { return b.Stop() }, func(b *engines.Broker) error { return b.Start() }},
	} {
		t.Run(hurt.name, func(t *testing.T) {
			leader, err := kafka.Leader(ctx, "words", 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := hurt.harm(leader); err != nil {
				t.Fatal(err)
			}
			// Another broker leads now: seen at one that is not hurt.
			if err := engines.Await(ctx, "another leader", func(ctx context.Context) error {
				now, err := kafka.Leader(ctx, "words", 0)
				if err == nil && now.ID == leader.ID {
					err = context.DeadlineExceeded
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(ctx, kgo.StringRecord(hurt.name)).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := hurt.heal(leader); err != nil {
				t.Fatal(err)
			}
			if err := kafka.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	if _, err := kafka.Coordinator(ctx, "readers"); err != nil {
		t.Fatal(err)
	}
}
