package audience

import (
	"context"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// Names lists the attributes and sets of tags that subscriptions or people of a
// project have on the shard, and counts its live subscriptions.
func (s *Shard) Names(project tocsin.ProjectID) (names []ask.Name, live int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.projects[project]
	if p == nil {
		return nil, 0
	}
	seen := map[ask.Name]bool{}
	for _, x := range [...]*index.Index{p.known, p.people.known} {
		for _, name := range x.Known() {
			attribute, set := x.Has(name)
			for tags, has := range map[bool]bool{false: attribute && !target.Reserved(name), true: set} {
				if n := (ask.Name{Name: name, Tags: tags}); has && !seen[n] {
					seen[n] = true
					names = append(names, n)
				}
			}
		}
	}
	return names, int(p.live.GetCardinality())
}

// Survey tells what live subscriptions have under a name, with its most frequent
// values: at most so many; with 0 no value is looked at. The writer waits for a
// part of it at most.
func (s *Shard) Survey(ctx context.Context, project tocsin.ProjectID, name ask.Name, most int) (ask.Survey, error) {
	of, err := s.survey(ctx, project, name, most, false)
	if err == nil && of.Rows == 0 {
		people, err := s.survey(ctx, project, name, 0, true)
		of.Kinds = people.Kinds
		return of, err
	}
	return of, err
}

func (s *Shard) survey(ctx context.Context, project tocsin.ProjectID, name ask.Name, most int, people bool) (ask.Survey, error) {
	of := index.NewSurvey(name.Name, name.Tags, most)
	known := false
	step := func() bool {
		s.mu.RLock()
		defer s.mu.RUnlock()
		p := s.projects[project]
		if known = p != nil; !known {
			return false
		}
		if people {
			return of.Step(p.people.known)
		}
		return of.Step(p.known)
	}
	for step() {
		if ctx.Err() != nil {
			return ask.Survey{}, ctx.Err()
		}
	}
	out := ask.Survey{Rows: of.Rows, Kinds: make(map[uint8]int), All: of.All || !known, Sketch: of.Sketch}
	for kind, rows := range of.Kinds {
		if rows > 0 {
			out.Kinds[uint8(kind)] = rows
		}
	}
	for _, v := range of.Top {
		out.Top = append(out.Top, ask.Counted{Value: ask.Value{Kind: uint8(v.Kind), Text: v.Text, Bits: v.Bits}, Rows: v.Rows})
	}
	return out, nil
}
