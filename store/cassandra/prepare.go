package cassandra

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Preparation is what a cluster lacks before a Store can be opened on it. Making
// it changes nothing.
type Preparation struct {
	// Steps are the statements that Apply will run, in order; none: all is there.
	Steps []string
	// Problems are settings that break a promise. With any, Apply refuses.
	Problems []string
	// Unread are settings that could not be read, for whoever runs the nodes to see to.
	Unread []string

	session *gocql.Session
}

// Prepare looks at a cluster. A keyspace that it makes has so many replicas of
// each row; fewer than MinReplicas are for a single machine, which the caller was
// told of. Close the preparation.
func Prepare(ctx context.Context, c Config, replicas int) (*Preparation, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	session, err := connect(c)
	if err != nil {
		return nil, err
	}
	p := &Preparation{session: session}
	st, err := look(ctx, session, c.Keyspace)
	if err != nil {
		session.Close()
		return nil, err
	}
	hosts, problems, unread := nodes(ctx, session)
	p.Problems, p.Unread = slices.Concat(st.problems, problems), unread
	if hosts < replicas {
		p.Problems = append(p.Problems, fmt.Sprintf("%d replicas of each row need as many nodes, the cluster has %d", replicas, hosts))
	}
	if !st.keyspace {
		p.Steps = append(p.Steps, createKeyspace(c.Keyspace, replicas))
	} else if st.replicas < replicas {
		p.Problems = append(p.Problems, fmt.Sprintf("keyspace %s keeps %d replicas of each row, not %d", c.Keyspace, st.replicas, replicas))
	}
	if !st.rows {
		p.Steps = append(p.Steps, createRows(c.Keyspace))
	}
	if !st.meta {
		p.Steps = append(p.Steps, createMeta(c.Keyspace))
	}
	if st.told < replicas {
		p.Steps = append(p.Steps, note(c.Keyspace, "replicas", replicas))
	}
	if st.format == 0 { // the last: with it the keyspace is complete
		p.Steps = append(p.Steps, note(c.Keyspace, "format", Format))
	}
	return p, nil
}

func note(keyspace, name string, value int) string {
	return fmt.Sprintf("INSERT INTO %s.meta (name, value) VALUES ('%s', %d)", keyspace, name, value)
}

// Apply runs the steps. It may be repeated, from Prepare on, when it failed.
func (p *Preparation) Apply(ctx context.Context) error {
	if len(p.Problems) > 0 {
		return errors.New("store: the cluster's settings break what is promised: nothing was changed")
	}
	for _, step := range p.Steps {
		if err := p.session.Query(step).ExecContext(ctx); err != nil {
			return fmt.Errorf("store: %s: %w", step, err)
		}
		if err := p.session.AwaitSchemaAgreement(ctx); err != nil {
			return fmt.Errorf("store: after %s: %w", step, err)
		}
	}
	return nil
}

func (p *Preparation) Close() { p.session.Close() }

// check refuses a keyspace that is not complete, or that does not keep any more
// what was acknowledged.
func check(ctx context.Context, session *gocql.Session, c Config) error {
	st, err := look(ctx, session, c.Keyspace)
	if err != nil {
		return err
	}
	if !st.keyspace || !st.rows || st.format == 0 {
		return fmt.Errorf("store: keyspace %s is not prepared: run tocsin cluster init", c.Keyspace)
	}
	_, problems, unread := nodes(ctx, session)
	problems = slices.Concat(st.problems, problems)
	if st.replicas < st.told {
		problems = append(problems, fmt.Sprintf("keyspace %s keeps %d replicas of each row, not %d", c.Keyspace, st.replicas, st.told))
	}
	if len(problems) > 0 {
		return fmt.Errorf("store: Cassandra would lose what was acknowledged: %q", problems)
	}
	for _, one := range unread {
		c.Log.Warn("store: a setting of Cassandra could not be checked", "what", one)
	}
	return nil
}
