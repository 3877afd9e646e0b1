package catalogue

import (
	"context"
	"errors"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

var (
	// ErrUnknown: no such name is in use.
	ErrUnknown = errors.New("catalogue: the name is not in use")
	// ErrTaken: the new name stands for something already.
	ErrTaken = errors.New("catalogue: the new name is in use")
)

// Delete takes a name away from everybody who has it, and frees it. It returns
// once that is durable on every shard; until then nobody writes the name.
func (s *Service) Delete(ctx context.Context, project tocsin.ProjectID, k Kind, name string) error {
	return s.move(ctx, project, k, name, "")
}

// Rename gives what stands under a name another one, which must be free: to
// everybody who has it, with its type and its writers.
func (s *Service) Rename(ctx context.Context, project tocsin.ProjectID, k Kind, from, to string) error {
	return s.move(ctx, project, k, from, to)
}

func (s *Service) move(ctx context.Context, project tocsin.ProjectID, k Kind, from, to string) error {
	return s.change(ctx, project, func(r *row) (bool, error) {
		e := r.names[k][from]
		switch {
		case e == nil:
			return false, ErrUnknown
		case to != "" && r.names[k][to] != nil:
			return false, ErrTaken
		}
		delete(r.names[k], from)
		r.edition++
		r.pending = &pending{k, from, to, e}
		return true, nil
	})
}

// finish carries out what is on its way. The caller has the turn.
func (s *Service) finish(ctx context.Context, project tocsin.ProjectID, h *held, r *row) error {
	p := r.pending
	err := s.Write(ctx, project, &record.Names{Edition: r.edition, Tags: p.kind == TagSet, From: p.from, To: p.to})
	if err != nil {
		return err
	}
	if r.pending = nil; p.to != "" {
		r.names[p.kind][p.to] = p.entry
	}
	return s.save(ctx, project, h, r)
}
