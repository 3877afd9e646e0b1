package cassandra

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/tocsin-push/tocsin/store"
)

// Format is the version of the tables. A keyspace of a higher one is refused.
const Format = 1

// MinReplicas is how many nodes have a row where the loss of a machine must not
// matter.
const MinReplicas = 3

// grace is how long the database keeps the version of what was deleted or has
// expired. A node that missed a deletion must be repaired within it.
const grace = 10 * 24 * time.Hour

// leastMutation must hold the largest batch with its keys.
const leastMutation = store.MaxBatch + store.MaxWrites*128

var columns = map[string]string{
	"table_name": "text", "partition": "blob", "key": "blob", "plain": "blob", "put": "blob", "expires": "bigint",
}

func createKeyspace(keyspace string, replicas int) string {
	return fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': %d} AND durable_writes = true", keyspace, replicas)
}

// createRows chooses BLOCKING repair on reads: what was read once is on a
// majority from then on, also when its write never came to an end.
func createRows(keyspace string) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.rows (table_name text, partition blob, key blob, plain blob, put blob, expires bigint, "+
		"PRIMARY KEY ((table_name, partition), key)) WITH gc_grace_seconds = %d AND read_repair = 'BLOCKING' "+
		"AND compaction = {'class': 'UnifiedCompactionStrategy'}", keyspace, grace/time.Second)
}

func createMeta(keyspace string) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s.meta (name text PRIMARY KEY, value int)", keyspace)
}

// state is what was found of a keyspace.
type state struct {
	keyspace, rows, meta bool // they are there
	replicas             int
	format, told         int // rows of meta; 0: not there
	problems             []string
}

// look reads what there is of a keyspace.
func look(ctx context.Context, session *gocql.Session, keyspace string) (st state, err error) {
	// A change of tables may be under way on some nodes: all are to tell the same.
	if err := session.AwaitSchemaAgreement(ctx); err != nil {
		return st, fmt.Errorf("store: nodes do not agree on their tables: %w", err)
	}
	one := func(cql string, values []any, into ...any) (bool, error) {
		err := session.Query(cql, values...).ScanContext(ctx, into...)
		if errors.Is(err, gocql.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}
	var replication map[string]string
	var durable bool
	st.keyspace, err = one("SELECT replication, durable_writes FROM system_schema.keyspaces WHERE keyspace_name = ?", []any{keyspace}, &replication, &durable)
	if err != nil || !st.keyspace {
		return st, err
	}
	if st.replicas, err = replicas(replication); err != nil {
		return st, err
	}
	st.refuse(!durable, "keyspace %s has durable_writes = false: what is acknowledged is not on disk", keyspace)
	if err := st.lookAtRows(ctx, session, keyspace); err != nil {
		return st, err
	}
	var name string
	if st.meta, err = one("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'meta'", []any{keyspace}, &name); err != nil || !st.meta {
		return st, err
	}
	for name, into := range map[string]*int{"format": &st.format, "replicas": &st.told} {
		if _, err := one("SELECT value FROM "+keyspace+".meta WHERE name = ?", []any{name}, into); err != nil {
			return st, err
		}
	}
	st.refuse(st.format > Format, "keyspace %s has format %d, this build knows up to %d", keyspace, st.format, Format)
	return st, nil
}

func (st *state) refuse(broken bool, format string, values ...any) {
	if broken {
		st.problems = append(st.problems, fmt.Sprintf(format, values...))
	}
}

func (st *state) lookAtRows(ctx context.Context, session *gocql.Session, keyspace string) error {
	var kept, life int
	var repair string
	err := session.Query("SELECT gc_grace_seconds, default_time_to_live, read_repair FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'rows'", keyspace).
		ScanContext(ctx, &kept, &life, &repair)
	if errors.Is(err, gocql.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	st.rows = true
	st.refuse(time.Duration(kept)*time.Second < store.Keep, "table %s.rows has gc_grace_seconds = %d: versions of deleted rows must stay %v", keyspace, kept, store.Keep)
	st.refuse(life != 0, "table %s.rows has default_time_to_live = %d: rows without an expiry would go", keyspace, life)
	st.refuse(repair != "BLOCKING", "table %s.rows has read_repair = %s: what was read might be gone later", keyspace, repair)
	rows := session.Query("SELECT column_name, type FROM system_schema.columns WHERE keyspace_name = ? AND table_name = 'rows'", keyspace).IterContext(ctx)
	found := 0
	for name, kind := "", ""; rows.Scan(&name, &kind); {
		if columns[name] == kind {
			found++
		}
	}
	st.refuse(found != len(columns), "table %s.rows is not the platform's: other columns", keyspace)
	return rows.Close()
}

// replicas is how many nodes have a row, over all datacenters.
func replicas(replication map[string]string) (n int, err error) {
	for name, value := range replication {
		if name == "class" {
			continue
		}
		one, err := strconv.Atoi(value)
		if err != nil {
			return 0, fmt.Errorf("store: replication %q of %s is no plain number", value, name)
		}
		n += one
	}
	return n, nil
}

// nodes asks each node that is up how it writes: what breaks a promise, and what
// could not be read.
func nodes(ctx context.Context, session *gocql.Session) (hosts int, problems, unread []string) {
	for _, host := range session.GetHosts() {
		hosts++
		if !host.IsUp() {
			unread = append(unread, fmt.Sprintf("settings of node %s: it is down", host.ConnectAddress()))
			continue
		}
		rows := session.Query("SELECT name, value FROM system_views.settings").SetHostID(host.HostID()).Consistency(gocql.One).IterContext(ctx)
		settings := map[string]string{}
		for name, value := "", ""; rows.Scan(&name, &value); {
			settings[name] = value
		}
		if err := rows.Close(); err != nil {
			unread = append(unread, fmt.Sprintf("settings of node %s: %v", host.ConnectAddress(), err))
			continue
		}
		if sync := settings["commitlog_sync"]; sync != "batch" && sync != "group" {
			problems = append(problems, fmt.Sprintf("node %s has commitlog_sync: %s; it must be batch or group, else what is acknowledged is lost with the process", host.ConnectAddress(), sync))
		}
		if most := size(settings["max_mutation_size"]); most < leastMutation {
			problems = append(problems, fmt.Sprintf("node %s has max_mutation_size %s; batches need %d bytes (commitlog_segment_size is to be twice that at least)",
				host.ConnectAddress(), settings["max_mutation_size"], leastMutation))
		}
	}
	return hosts, problems, unread
}

// size is a number of bytes as the database prints it.
func size(text string) int {
	for unit, factor := range map[string]int{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(text, unit); ok {
			n, _ := strconv.Atoi(number)
			return n * factor
		}
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(text, "B"))
	return n
}
