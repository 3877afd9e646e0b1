package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/client"
	journaldisk "github.com/tocsin-push/tocsin/journal/disk"
	storedisk "github.com/tocsin-push/tocsin/store/disk"
)

// BenchmarkImport is an import of subscriptions with five attributes and a set
// of tags over HTTP, durable on disk and applied to the audience, everything
// in this process.
func BenchmarkImport(b *testing.B) {
	var data bytes.Buffer
	cities := []string{"Paris", "Lyon", "Nice", "Brest", "Lille"}
	for i := range b.N {
		fmt.Fprintf(&data, `{"provider":"fcm","token":"fcm:%0140d","user":"user-%d","language":"fr","zone":"Europe/Paris","city":"%s","attributes":{"country":"FR","age":%d,"score":%d.5,"premium":%t},"tags":{"topics":["politics","sport"]}}`+"\n",
			i, i, cities[i%5], 18+i%70, i%10, i%3 == 0)
	}
	dir := b.TempDir()
	log := slog.New(slog.DiscardHandler)
	jc, sc := journaldisk.Default(), storedisk.Default()
	jc.Log, sc.Log = log, log
	jc.Stop, sc.Stop = func(err error) { panic(err) }, func(err error) { panic(err) }
	j, err := journaldisk.Open(filepath.Join(dir, "journal"), jc)
	if err != nil {
		b.Fatal(err)
	}
	st, err := storedisk.Open(filepath.Join(dir, "store"), sc)
	if err != nil {
		b.Fatal(err)
	}
	w := newWorldOn(b, j, st, filepath.Join(dir, "key"))
	defer func() { w.stop(); j.Close(); st.Close() }()
	_, c := w.newProject("bench")
	opened, err := c.OpenImport(b.Context(), client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	began := time.Now()
	done, err := c.Upload(b.Context(), opened, bytes.NewReader(data.Bytes()), nil)
	if err != nil || done.Imported != int64(b.N) {
		b.Fatalf("%+v %v", done, err)
	}
	durable := time.Since(began)
	if err := w.server.fresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/durable.Seconds(), "durable/s")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "targetable/s")
	b.ReportMetric(float64(data.Len())/float64(b.N), "bytes/line")
}
