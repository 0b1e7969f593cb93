package lakehouse

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"headless.ly/catalog/noun"
)

// processor reports the processor time of the benchmark's process, which other programs on the machine disturb less than the
// time on the clock.
func processor(b *testing.B) func() {
	used := func() float64 {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e6
	}
	began := used()
	return func() { b.ReportMetric((used()-began)/float64(b.N), "cpu-ms/op") }
}

// BenchmarkTick is a publish of one tenant with a few writes to three nouns.
func BenchmarkTick(b *testing.B) {
	log := newFakeLog()
	l := openLake(b, b.TempDir(), log)
	n := 0
	defer processor(b)()
	for b.Loop() {
		for range 5 {
			n++
			log.contact("acme", n%100, "name")
			log.write("acme", "Deal", fmt.Sprintf("deal_%08d", n%100), "update", `"name":"deal","value":5`)
			log.write("acme", "Organization", fmt.Sprintf("organization_%08d", n%100), "update", `"name":"org"`)
		}
		publish(b, l)
	}
}

// BenchmarkRewrite is a publish of one changed row of a noun table with 20,000 rows.
func BenchmarkRewrite(b *testing.B) {
	log := newFakeLog()
	l := openLake(b, b.TempDir(), log)
	for i := range 20000 {
		log.write("acme", "Contact", fmt.Sprintf("contact_%08d", i), "create", contactFields(i))
	}
	publish(b, l)
	n := 0
	defer processor(b)()
	for b.Loop() {
		n += 7919
		log.write("acme", "Contact", fmt.Sprintf("contact_%08d", n%20000), "update", contactFields(n))
		publish(b, l)
	}
}

// BenchmarkDelta is a publish of 200 random updates to a noun table of 200,000 rows, which is loaded and put together first.
func BenchmarkDelta(b *testing.B) {
	const rows = 200_000
	log := newFakeLog()
	l := openLake(b, b.TempDir(), log)
	for i := range rows {
		log.write("acme", "Contact", fmt.Sprintf("contact_%08d", i*7919%rows), "create", contactFields(i))
		if i%10_000 == 9_999 {
			publish(b, l)
		}
	}
	files := l.Status("acme").Tables["contact"].Files
	maintain(b, l)
	b.Logf("%d rows in %d files, put together %d", rows, files, l.Status("acme").Tables["contact"].Files)
	n := 0
	defer processor(b)()
	for b.Loop() {
		for range 200 {
			n += 104729
			log.write("acme", "Contact", fmt.Sprintf("contact_%08d", n%rows), "update", contactFields(n))
		}
		publish(b, l)
		maintain(b, l)
	}
}

// BenchmarkMerge is the part of a rewrite that grows with the table: merge and encode 20,000 rows.
func BenchmarkMerge(b *testing.B) {
	t, rows, changes := contactRows(b, 20000)
	change := map[string]*Event{"contact_00000777": changes["contact_00000777"]}
	b.Run("merge", func(b *testing.B) {
		for b.Loop() {
			if _, err := t.merge("acme", rows, change, mem); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encodeAll(b, t, rows)
		}
	})
}

// contactRows gives the table of contacts, rows of so many, and their events by id.
func contactRows(b *testing.B, count int) (*Table, arrow.RecordBatch, map[string]*Event) {
	n, _ := noun.Core().Get("Contact")
	t, err := newTable("contact", n, TableColumns(n))
	if err != nil {
		b.Fatal(err)
	}
	log := newFakeLog()
	changes := map[string]*Event{}
	for i := range count {
		e := log.write("acme", "Contact", fmt.Sprintf("contact_%08d", i), "create", contactFields(i))
		changes[e.Target] = e
	}
	rows, err := t.merge("acme", nil, changes, mem)
	if err != nil {
		b.Fatal(err)
	}
	return t, rows, changes
}

// encodeAll encodes rows as a file of a table.
func encodeAll(b *testing.B, t *Table, rows arrow.RecordBatch) {
	e, err := t.encodeRows(rows, mem)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(e.bytes)), "bytes")
}

// BenchmarkSmallFile writes a file of five contacts, as most publishes of noun tables do.
func BenchmarkSmallFile(b *testing.B) {
	t, rows, _ := contactRows(b, 5)
	b.ReportAllocs()
	for b.Loop() {
		encodeAll(b, t, rows)
	}
}

// BenchmarkRow decodes one document of a contact.
func BenchmarkRow(b *testing.B) {
	n, _ := noun.Core().Get("Contact")
	e := newFakeLog().write("acme", "Contact", "contact_00000001", "create", contactFields(1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Row(n, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvents writes 10,000 events of one day.
func BenchmarkEvents(b *testing.B) {
	t, err := newTable(eventsTable, nil, EventColumns())
	if err != nil {
		b.Fatal(err)
	}
	log := newFakeLog()
	for i := range 10000 {
		log.write("acme", "Contact", fmt.Sprintf("contact_%08d", i), "create", contactFields(i))
	}
	for b.Loop() {
		rows := t.eventRows("acme", log.events["acme"], mem)
		encodeAll(b, t, rows)
	}
}

func contactFields(i int) string {
	return fmt.Sprintf(`"name":"Name %d","firstName":"First%d","lastName":"Last%d","email":"user%d@example.com","phone":"+1 555 %07d",`+
		`"title":"Engineer","department":"East","stage":"Lead","status":"Active","leadScore":%d,"marketingConsent":true,`+
		`"lastEngagement":"2026-01-15T10:00:00.000Z","organization":"organization_%08d","shoe":%d`, i, i%50, i%900, i, i, i%100, i%300, i%12)
}

// BenchmarkHistory publishes a history of 200 days with five events each: what an import writes.
func BenchmarkHistory(b *testing.B) {
	log := newFakeLog()
	l := openLake(b, b.TempDir(), log)
	day := int64(0)
	defer processor(b)()
	for b.Loop() {
		for range 200 {
			day++
			for i := range 5 {
				log.append("acme", "Deal", fmt.Sprintf("deal_%08d", i), "update", `"name":"deal","value":5`, startMS+day*dayMS)
			}
		}
		publish(b, l)
	}
}
