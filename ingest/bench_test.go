package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"headless.ly/catalog/entity"
	"headless.ly/ingest"
)

// BenchmarkFsync is the baseline: what the disk itself takes to make 4 KiB durable.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCreate measures durable creates of one tenant by 1 to 256 callers.
func BenchmarkCreate(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, nil)
			var n atomic.Int64
			b.SetParallelism((callers + 1) / 2) // GOMAXPROCS is 2 where the figures of the repository were taken
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					o, err := entity.Parse(fmt.Appendf(nil, `{"name":"Person %d","firstName":"Person","lastName":"%d","email":"p%d@example.org","phone":"+49 30 %d","leadScore":%d}`, i, i, i, i, i%100))
					if err != nil {
						b.Error(err)
						return
					}
					rs, err := s.Do(context.Background(), "acme", []ingest.Command{{Op: ingest.OpCreate, Noun: "Contact", Body: o, Source: "bench"}})
					if err != nil || rs[0].Err != nil {
						b.Error(err, rs)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "creates/s")
		})
	}
}

// BenchmarkGet measures reading a document by id.
func BenchmarkGet(b *testing.B) {
	s := open(b, nil)
	ctx := context.Background()
	var ids []string
	for i := range 10_000 {
		if i%500 == 0 {
			cmds := make([]ingest.Command, 500)
			for j := range cmds {
				cmds[j] = create(b, "Contact", fmt.Sprintf(`{"name":"Person %d"}`, i+j))
			}
			rs, err := s.Do(ctx, "acme", cmds)
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range rs {
				ids = append(ids, r.Event.Target)
			}
		}
	}
	var n atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := ids[n.Add(7919)%int64(len(ids))]
			p, err := s.Lookup(ctx, "acme", "Contact", id)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := s.Documents(ctx, "acme", []int64{p.Seq}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
