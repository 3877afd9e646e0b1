package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/tocsin-push/tocsin/store"
)

// sure reports that a node refused a statement for what it says: again it would
// be refused again, and it changed nothing.
func sure(err error) bool {
	var answer gocql.RequestError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code() {
	case gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig, gocql.ErrCodeCredentials:
		return true
	}
	return false
}

// unsent reports that no node began with a statement. One that lacks replicas or
// is overloaded may tell so of the second half of a conditional put, too.
func unsent(err error) bool {
	var answer gocql.RequestError
	if errors.As(err, &answer) {
		return answer.Code() == gocql.ErrCodeBootstrapping
	}
	return errors.Is(err, gocql.ErrNoConnections) || errors.Is(err, gocql.ErrNoStreams)
}

// translate tells an error of the driver in the words of the contract.
func translate(err error) error {
	switch {
	case errors.Is(err, gocql.ErrSessionClosed):
		return store.ErrClosed
	case sure(err) && strings.Contains(err.Error(), "disk usage exceeds failure threshold"):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// insist makes a call until it succeeds, again says that the next would end no
// other way, or patience ends. Between attempts it waits, longer each time: when
// no node is up each fails at once.
func (s *Store) insist(ctx context.Context, again func(error) bool, call func() error) error {
	const least, most = 20 * time.Millisecond, 500 * time.Millisecond
	patience := time.NewTimer(s.config.Patience)
	defer patience.Stop()
	for pause := least; ; pause = min(2*pause, most) {
		err := call()
		if err == nil || ctx.Err() != nil || !again(err) {
			return translate(err)
		}
		s.repeated.Inc()
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
			continue
		case <-patience.C:
		case <-ctx.Done():
		}
		wait.Stop()
		return translate(err)
	}
}

// repeatable is again for calls that may be repeated.
func repeatable(err error) bool { return !sure(err) && !errors.Is(err, gocql.ErrSessionClosed) }
