package account

import (
	"context"
	"crypto/subtle"
	"errors"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Caller is who a key stands for.
type Caller struct {
	Key         tocsin.KeyID
	Name        string             // of the key
	Project     tocsin.ProjectID   // zero: the platform
	Environment tocsin.Environment // of the project; zero for the platform
	Scopes      Scopes
}

// Platform reports whether the caller may name any project.
func (c Caller) Platform() bool { return c.Project.IsZero() }

// Authenticate tells whose key a text is, or ErrUnauthenticated. Any other
// error means that the store could not be asked.
//
// A text with a wrong checksum costs no look at the store, and a key seen in
// the last second none either.
func (s *Service) Authenticate(ctx context.Context, text string) (Caller, error) {
	if !hasForm(text, serverPrefix, devicePrefix) {
		return Caller{}, ErrUnauthenticated
	}
	now, hash := time.Now(), Secret{text}.hash()
	row, ok := s.callers.get(hash, now)
	if !ok {
		var err error
		if row, err = s.findKey(ctx, hash); err != nil {
			return Caller{}, unauthenticated(err)
		}
		s.callers.put(hash, row, now)
	}
	if subtle.ConstantTimeCompare(row.Hash, hash[:]) != 1 || !row.key().Live(now) {
		return Caller{}, ErrUnauthenticated
	}
	caller := Caller{Key: row.ID, Name: row.Name, Project: row.Project, Scopes: row.Scopes}
	if !caller.Platform() {
		project, err := s.Project(ctx, row.Project)
		if err != nil {
			return Caller{}, unauthenticated(err)
		}
		caller.Environment = project.Environment
	}
	return caller, nil
}

func (s *Service) findKey(ctx context.Context, hash [32]byte) (row keyRow, err error) {
	var way lookupRow
	if _, err := read(ctx, s.store, lookupOf(hash), lookupKey, &way); err != nil {
		return row, err
	}
	_, err = read(ctx, s.store, keysOf(way.Project), way.Key.String(), &row)
	return row, err
}

func unauthenticated(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrUnauthenticated
	}
	return err
}
