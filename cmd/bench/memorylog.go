package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"headless.ly/lakehouse"
)

// memoryLog is a lakehouse.Log that holds what is not published yet. It is written and forgotten while nobody reads it.
type memoryLog struct {
	names   []string
	tick    time.Duration
	start   time.Time
	now     time.Time
	random  *rand.Rand
	heads   map[string]int64
	waiting map[string][]*lakehouse.Event
	version map[string]map[int]int64 // by tenant and entity

	words *words
}

func newMemoryLog(names []string, tick time.Duration) *memoryLog {
	// Tomorrow: a snapshot is never before the making of its table, which goes by the clock of the machine.
	start := time.Now().UTC().Truncate(24 * time.Hour).Add(25 * time.Hour)
	return &memoryLog{names: names, tick: tick, start: start, now: start, random: rand.New(rand.NewPCG(1, 2)), heads: map[string]int64{},
		waiting: map[string][]*lakehouse.Event{}, version: map[string]map[int]int64{}, words: newWords()}
}

// Heads implements lakehouse.Log.
func (l *memoryLog) Heads() map[string]int64 {
	heads := make(map[string]int64, len(l.waiting))
	for tenant := range l.waiting {
		heads[tenant] = l.heads[tenant]
	}
	return heads
}

// Read implements lakehouse.Log.
func (l *memoryLog) Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	for _, e := range l.waiting[tenant] {
		if e.Seq <= r.After || r.Upto > 0 && e.Seq > r.Upto || r.Noun != "" && e.Entity != r.Noun {
			continue
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// time is the clock of the lake.
func (l *memoryLog) time() time.Time { return l.now }

// forget drops what was published, and moves the clock.
func (l *memoryLog) forget() {
	clear(l.waiting)
	l.now = l.now.Add(l.tick)
}

// days counts the days that events are of.
func (l *memoryLog) days() int {
	return int(l.now.Add(-l.tick).Truncate(24*time.Hour).Sub(l.start.Truncate(24*time.Hour))/(24*time.Hour)) + 1
}

// fill makes all entities of all tenants.
func (l *memoryLog) fill() {
	for _, tenant := range l.names {
		l.version[tenant] = map[int]int64{}
		for i := range commitEntities {
			l.append(tenant, i)
		}
	}
}

// write writes n events, over some tenants taken at random, to entities taken at random.
func (l *memoryLog) write(tenants, n int) {
	chosen := l.random.Perm(len(l.names))[:tenants]
	for i := range n {
		l.append(l.names[chosen[i%tenants]], l.random.IntN(commitEntities))
	}
}

func (l *memoryLog) append(tenant string, entity int) {
	l.heads[tenant]++
	l.version[tenant][entity]++
	seq, version := l.heads[tenant], l.version[tenant][entity]
	id := fmt.Sprintf("contact_%08d", entity)
	verb := "update"
	if version == 1 {
		verb = "create"
	}
	at := l.now.Format("2006-01-02T15:04:05.000Z")
	c := l.words.contact(int(seq))
	doc := fmt.Appendf(nil, `{"$type":"Contact","$id":%q,"$version":%d,"$createdAt":%q,"$updatedAt":%q,%s`, id, version, at, at,
		c.appendJSON(nil)[1:])
	l.waiting[tenant] = append(l.waiting[tenant], &lakehouse.Event{Seq: seq, ID: fmt.Sprintf("evt_%012x", mix(uint64(seq))>>16),
		Kind: lakehouse.KindMutation, Type: "Contact." + verb, Entity: "Contact", Target: id, Verb: verb, Timestamp: l.now.UnixMilli(),
		Version: version, Data: doc, Source: "bench", RequestID: "req_000000000000"})
}

// summary is what a table must say of each tenant, as readBack asks: rows, distinct ones, the last seq.
func (l *memoryLog) summary(name string) string {
	var lines []string
	for _, tenant := range slices.Sorted(maps.Keys(l.heads)) {
		rows := l.heads[tenant]
		if name != "events" {
			rows = int64(len(l.version[tenant]))
		}
		lines = append(lines, fmt.Sprintln(tenant, rows, rows, l.heads[tenant]))
	}
	return strings.Join(lines, "")
}
