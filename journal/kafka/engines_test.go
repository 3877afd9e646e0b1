//go:build engines

package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/engines"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/kafka"
)

// real starts brokers; those of one number serve all tests of it.
func real(t *testing.T, n int) *engines.Kafka {
	t.Helper()
	jars, err := engines.Folder()
	if err != nil {
		t.Fatal(err)
	}
	k, err := engines.StartKafka(t.Context(), jars, t.TempDir(), n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

// loud is fresh with a log that a failed test is understood by.
func loud(k *engines.Kafka) kafka.Config {
	c := fresh(k.Seeds()...)
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return c
}

func TestOneBroker(t *testing.T) {
	k := real(t, 1)
	contract(t, k.Seeds())
	t.Run("latency", func(t *testing.T) { latency(t, loud(k)) })
}

// latency tells, and judges nothing: how long an append takes, and until who
// waits at the end has read what another process appended.
func latency(t *testing.T, c kafka.Config) {
	create(t, c)
	here, there := open(t, c), open(t, c)
	defer here.Close()
	defer there.Close()
	p := journal.Partition{Topic: journal.Ledger}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	const rounds = 1000
	var appends, reads []time.Duration
	at, err := there.End(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error)
	arrived := make(chan time.Time)
	go func() {
		for range rounds {
			err := there.Wait(ctx, p, at)
			if err == nil {
				_, at, err = there.Read(ctx, p, at, 1<<20)
			}
			if err != nil {
				read <- err
				return
			}
			arrived <- time.Now()
		}
		close(read)
	}()
	for range rounds {
		began := time.Now()
		if _, err := here.Append(ctx, p, make([]byte, 300)); err != nil {
			t.Fatal(err)
		}
		appends = append(appends, time.Since(began))
		select {
		case then := <-arrived:
			reads = append(reads, then.Sub(began))
		case err := <-read:
			t.Fatal(err)
		}
	}
	slices.Sort(appends)
	slices.Sort(reads)
	for _, of := range []struct {
		what string
		took []time.Duration
	}{{"append", appends}, {"append to read elsewhere", reads}} {
		t.Log(fmt.Sprintf("%s: p50 %v, p99 %v, most %v", of.what, of.took[rounds/2], of.took[rounds*99/100], of.took[rounds-1]))
	}
}
