package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

const (
	piecesAhead = 4                      // read and parsed ahead of the appends, and appended ahead of their syncs
	checkpoint  = 500 * time.Millisecond // between two rows of an import under way
)

// stream reads the body of an import to its end. Pieces are read, parsed (all
// cores), appended (in order, so that the last line about a subscription
// wins) and waited for, each stage ahead of the next by a few pieces. The
// offset only ever names lines whose changes are durable.
func (s *Server) stream(ctx context.Context, in *StreamInput, row *importRow) (*importRow, error) {
	who := scope(ctx, 0)
	reader, err := s.intake(ctx, who.Project)
	if err != nil {
		return nil, err
	}
	if !s.streams.enter(who.Project) {
		return nil, busy(http.StatusTooManyRequests, "too_many", "too many streams of this project at the same time", time.Second)
	}
	defer s.streams.leave(who.Project)
	started := *row
	started.Status = client.ImportRunning
	if !s.imports.begin(&started) {
		return nil, busy(http.StatusConflict, "running", "another stream of this import is being read", time.Second)
	}
	defer s.imports.end(row.ID)

	// What was read becomes durable and is noted, also after the client left.
	ctx = context.WithoutCancel(ctx)
	run := &importing{server: s, scope: who, reader: reader, row: &started}
	if row.List != "" {
		run.upload = &upload{server: s, project: who.Project, row: *row}
	}
	if row.Events {
		run.events = &events{project: who.Project}
	}
	for range s.Shards {
		run.admitted = append(run.admitted, audience.NewAdmitted())
	}
	source := &cutter{in: bufio.NewReaderSize(s.patient(in), 256<<10), quotes: row.Format == client.CSV, limit: s.Line,
		offset: row.Offset, lines: row.Lines}
	readErr := run.header(source)
	if readErr == nil {
		readErr = run.pieces(ctx, source)
	}
	if readErr == nil && run.upload != nil {
		readErr = run.upload.end(ctx)
	}
	return run.finish(ctx, readErr)
}

// patient lets a read wait BodyTime for the next bytes, not for all of them.
func (s *Server) patient(in *StreamInput) io.Reader {
	deadline := http.NewResponseController(in.w)
	return readFunc(func(p []byte) (int, error) {
		deadline.SetReadDeadline(time.Now().Add(s.BodyTime))
		return in.r.Body.Read(p)
	})
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// importing is one stream under way.
type importing struct {
	server  *Server
	scope   record.Scope
	reader  *intake // copied for each piece
	columns []column
	upload  *upload // to a list; nil: subscriptions come, or
	events  *events // copied for each piece
	// By shard; shared by the pieces.
	admitted []*audience.Admitted

	mu     sync.Mutex
	row    *importRow // durable; replaced, never changed
	failed error      // of an append, or of a look at the shards
	noted  time.Time  // when the row was stored
}

// header reads the first row of a CSV stream; a continued one has it already.
func (i *importing) header(source *cutter) error {
	if !source.quotes {
		return nil
	}
	row := *i.row
	if len(row.Columns) == 0 {
		p := &piece{}
		if err := source.record(p); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(p.lines) != 1 || p.lines[0].long {
			return invalid("header", "want a first line with the names of the columns")
		}
		names, err := fields(p.data, nil)
		if err != nil {
			return fieldProblem(err)
		}
		row.Columns, row.Offset, row.Lines = names, source.offset, source.lines
	}
	var err error
	if i.upload != nil {
		i.columns, err = entryHeader(row.Columns)
	} else {
		i.columns, err = parseHeader(row.Columns)
	}
	if err != nil {
		return fieldProblem(err)
	}
	i.row = &row
	return nil
}

// pieces runs the stages until the stream ends or an append fails.
func (i *importing) pieces(ctx context.Context, source *cutter) error {
	toAppend, toWait := make(chan *piece, piecesAhead), make(chan *piece, piecesAhead)
	desks := make(chan *desk, runtime.GOMAXPROCS(0))
	for range cap(desks) {
		desks <- new(desk)
	}
	var stages, ahead sync.WaitGroup // ahead: pieces that are not settled yet
	stages.Go(func() {
		defer close(toWait)
		for p := range toAppend {
			<-p.parsed
			if i.failure() == nil {
				p.changes.send(ctx, i.server, i.scope)
				if len(p.held) > 0 {
					ahead.Wait()
					i.fail(i.place(ctx, p))
				}
			}
			ahead.Add(1)
			toWait <- p
		}
	})
	stages.Go(func() {
		for p := range toWait {
			i.settle(ctx, p)
			ahead.Done()
		}
	})
	err := i.server.fresh(ctx)
	var last time.Time
	for err == nil && i.failure() == nil {
		var p *piece
		p, err = source.next()
		if p.at = i.server.Now(); p.at.Before(last) {
			p.at = last
		}
		last = p.at.Add(pieceRecords) // a nanosecond a record
		at := <-desks
		stages.Go(func() {
			i.parse(ctx, p, at)
			close(p.parsed)
			desks <- at
		})
		toAppend <- p
	}
	close(toAppend)
	stages.Wait()
	if failed := i.failure(); failed != nil {
		return failed
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// parse reads the lines of a piece.
func (i *importing) parse(ctx context.Context, p *piece, at *desk) {
	p.changes = newBundle(i.scope.Project, i.server.Shards, p.at)
	if i.upload != nil {
		i.upload.parse(p, i.columns)
		return
	}
	if i.events != nil {
		i.parseEvents(ctx, p)
		return
	}
	p.changes.room = bundleBytes
	names := i.server.naming(ctx, catalogue.Import)
	reader := *i.reader
	reader.room = at.begin()
	var row []string
	for n, s := range p.lines {
		line := p.data[s.from:s.to]
		if s.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some programs begin a file
		}
		u, err := i.line(&reader, line, s.long, &row)
		held := err == nil && (len(p.held) > 0 || len(u.Address) == 0)
		if err == nil && !held {
			u.Later = uint64(n)
			if err = names.admit(ctx, u.Attributes, u.Tags); err != nil && !errors.As(err, new(*fieldError)) {
				i.fail(err) // it is not about this line
				return
			}
		}
		switch {
		case err != nil:
			p.refuse(s, err)
		case held:
			p.held = append(p.held, heldLine{span: s, change: u})
			reader.room = at.clear()
		default:
			reader.room = at.take(s, u, names.edition())
		}
	}
	if err := i.settleDesk(ctx, p, at); err != nil {
		i.fail(err)
		return
	}
	p.data, p.lines = nil, nil
}

// place appends the lines of a piece that were held, after everything before
// them was: a line that names only its subscription goes to where that is.
func (i *importing) place(ctx context.Context, p *piece) error {
	if err := p.changes.wait(ctx); err != nil {
		return err
	}
	placing, names := i.server.placing(i.scope.Project), i.server.naming(ctx, catalogue.Import)
	moves := p.changes.moves
	p.changes = newBundle(i.scope.Project, i.server.Shards, placing.at)
	p.changes.moves = moves
	for _, line := range p.held {
		err := i.placeLine(ctx, placing, names, p, line)
		if err == nil {
			p.imported++
		} else if wrong, ok := aboutOne(err); ok {
			p.refuse(line.span, wrong)
		} else {
			return err
		}
	}
	p.held = nil
	p.changes.send(ctx, i.server, i.scope)
	return nil
}

// placeLine takes one of them, once it is known where it goes.
func (i *importing) placeLine(ctx context.Context, placing *placing, names *naming, p *piece, line heldLine) error {
	if e := line.event; e != nil {
		err := placing.event(ctx, e)
		if err == nil {
			err = names.admitEvent(ctx, e.Name)
		}
		if err == nil {
			p.changes.addEvent(e, names.edition())
		}
		return err
	}
	at, err := placing.place(ctx, line.change)
	if err == nil {
		err = i.admit(ctx, names, line.change)
	}
	if err == nil {
		p.changes.add(line.change, at, names.edition())
		placing.placed(line.change, at)
	}
	return err
}

func (i *importing) line(reader *intake, data []byte, long bool, row *[]string) (u *record.Upsert, err error) {
	if long {
		return nil, wrong("", "longer than %d bytes", i.server.Line)
	}
	if i.columns == nil {
		return reader.subscription(data)
	}
	if *row, err = fields(data, (*row)[:0]); err != nil {
		return nil, err
	}
	return reader.row(i.columns, *row)
}

// admit refuses what does not fit the names of the project, or the audience.
func (i *importing) admit(ctx context.Context, names *naming, u *record.Upsert) error {
	if err := names.admit(ctx, u.Attributes, u.Tags); err != nil {
		return err
	}
	if err := i.fits(ctx, u); err != nil {
		return err
	}
	return i.server.fitWeight(ctx, i.scope.Project, i.shardOf(u), u)
}

// fits refuses what the audience would leave out of a change that was placed.
func (i *importing) fits(ctx context.Context, u *record.Upsert) error {
	shard := i.shardOf(u)
	ok, err := i.admitted[shard].Admit(ctx, i.server.Ask[shard], i.scope.Project, u, audience.MaxRoutes)
	if err == nil && !ok {
		err = errRoutes()
	}
	return err
}

func (i *importing) shardOf(u *record.Upsert) tocsin.Shard {
	return tocsin.ShardOf(i.scope.Project, u.Profile, i.server.Shards)
}

// settle waits for the changes of a piece and moves the offset behind it.
func (i *importing) settle(ctx context.Context, p *piece) {
	if i.failure() != nil {
		return
	}
	err := p.changes.wait(ctx)
	if err == nil {
		err = i.server.moved(ctx, i.scope.Project, p.changes.moves...)
	}
	if err != nil {
		i.fail(err)
		return
	}
	row := *i.row
	row.Offset, row.Lines = p.end, p.count
	row.Imported += p.imported
	row.Bad += p.failed
	row.touch(i.server.Now())
	if room := client.MaxBadLines - len(row.BadLines); room > 0 && len(p.bad) > 0 {
		row.BadLines = append(row.BadLines[:len(row.BadLines):len(row.BadLines)], p.bad[:min(room, len(p.bad))]...)
	}
	i.row = &row
	i.server.imports.update(&row)
	if time.Since(i.noted) < checkpoint {
		return
	}
	i.noted = time.Now()
	if i.upload != nil {
		i.fail(i.upload.fits(ctx))
	}
	i.fail(i.server.imports.put(ctx, i.scope.Project, &row))
}

// fail ends the import unless err is nil.
func (i *importing) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.failed == nil {
		i.failed = err
	}
}

func (i *importing) failure() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

// finish notes where the import stands. One whose stream broke off stays open.
func (i *importing) finish(ctx context.Context, broke error) (*importRow, error) {
	row := *i.row
	row.Status = client.ImportFinished
	row.touch(i.server.Now())
	if broke != nil {
		row.Status = client.ImportOpen
	}
	if err := i.server.imports.put(ctx, i.scope.Project, &row); err != nil {
		return nil, err
	}
	if _, known := problemOf(broke); broke == nil || known {
		return &row, broke
	}
	code := http.StatusBadRequest
	if errors.Is(broke, os.ErrDeadlineExceeded) {
		code = http.StatusRequestTimeout
	}
	return nil, fail(code, "broken", fmt.Sprintf("the stream of %s broke off; go on from its offset", row.ID))
}
