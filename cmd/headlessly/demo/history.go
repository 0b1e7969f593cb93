package demo

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/ingest"
)

// Key names an entity before it has an id: by its noun and its name, which is unique in the data.
type Key struct{ Noun, Name string }

// Step is one event of a history to be.
type Step struct {
	At     time.Time
	Op     ingest.Op // OpCreate or OpVerb
	Verb   string    // OpVerb: win or lose
	Entity Key
	Body   []Member
}

// Member is a member of a Step's body: a value, or the id of an entity that an earlier step creates.
type Member struct {
	Name  string
	Value jsontext.Value
	Ref   Key // the zero Key: Value counts
}

func text(name, value string) Member { return Member{Name: name, Value: entity.Quote(value)} }
func whole(name string, n int64) Member {
	return Member{Name: name, Value: jsontext.Value(strconv.FormatInt(n, 10))}
}
func number(name, n string) Member  { return Member{Name: name, Value: jsontext.Value(n)} }
func ref(name string, k Key) Member { return Member{Name: name, Ref: k} }

// History is the life of the company, or of one of its regional offices, in order of time.
//
// Companies, products and people stand on the day before the first deal; deals on their engage date, in Qualification, at
// the product's list price; their end on the close date: win brings the close value, lose leaves the value at the price
// that was lost. Deals never engaged come on the day after the last date, in Prospecting. Each day begins at noon UTC and
// takes a millisecond a step, in file order; no deal begins and ends on one day. An office has all companies and products
// (they belong to none), its own people, and the company's days, so that tenants can be compared at an instant.
func History(d *Dataset, office string) []Step {
	h := history{days: d.days(), office: map[string]string{}, price: map[string]int64{}}
	h.companies(d.Companies)
	h.products(d.Products)
	h.people(d.Agents, office)
	h.deals(d.Deals, office)
	slices.SortStableFunc(h.steps, func(a, b Step) int { return a.At.Compare(b.At) })
	for i := 1; i < len(h.steps); i++ {
		if s := &h.steps[i]; !s.At.After(h.steps[i-1].At) {
			s.At = h.steps[i-1].At.Add(time.Millisecond)
		}
	}
	return h.steps
}

// days are the noons that the data does not give.
type days struct{ founding, last time.Time }

func (d *Dataset) days() days {
	var first, last time.Time
	for _, o := range d.Deals {
		for _, t := range []time.Time{o.Engaged, o.Closed} {
			if t.IsZero() {
				continue
			}
			if first.IsZero() || t.Before(first) {
				first = t
			}
			if t.After(last) {
				last = t
			}
		}
	}
	return days{founding: noon(first.AddDate(0, 0, -1)), last: noon(last.AddDate(0, 0, 1))}
}

func noon(day time.Time) time.Time { return day.Add(12 * time.Hour) }

// history collects steps; within a day in the order in which they are to happen.
type history struct {
	days   days
	steps  []Step
	office map[string]string // of a person
	price  map[string]int64  // of a product
}

func (h *history) create(at time.Time, k Key, body ...Member) {
	h.steps = append(h.steps, Step{At: at, Op: ingest.OpCreate, Entity: k, Body: body})
}

// companies come parents first, otherwise in file order. (The data has one level; deeper ones would do as well.)
func (h *history) companies(rows []Company) {
	parent := map[string]string{}
	for _, c := range rows {
		parent[c.Name] = c.Parent
	}
	depth := func(c Company) (n int) {
		for p := c.Parent; p != "" && n <= len(rows); p = parent[p] {
			n++
		}
		return n
	}
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Company) int { return cmp.Compare(depth(a), depth(b)) })
	for _, c := range rows {
		body := []Member{
			text("name", c.Name), text("industry", c.Sector), whole("foundedYear", c.Founded),
			number("annualRevenue", c.Revenue), whole("employeeCount", c.Employees), text("country", c.Country),
		}
		if c.Parent != "" {
			body = append(body, ref("parent", Key{"Organization", c.Parent}))
		}
		h.create(h.days.founding, Key{"Organization", c.Name}, body...)
	}
}

func (h *history) products(rows []Product) {
	for _, p := range rows {
		h.price[p.Name] = p.Price
		h.create(h.days.founding, Key{"Product", p.Name},
			text("name", p.Name), text("status", "Active"), whole("price", p.Price), text("series", p.Series))
	}
}

// people are the managers, in the order in which the file names them, then the agents.
func (h *history) people(rows []Agent, office string) {
	seen := map[string]bool{}
	for _, a := range rows {
		h.office[a.Name] = a.Office
		if !seen[a.Manager] && in(a.Office, office) {
			seen[a.Manager] = true
			h.create(h.days.founding, Key{"Contact", a.Manager}, text("name", a.Manager), text("department", a.Office))
		}
	}
	for _, a := range rows {
		if in(a.Office, office) {
			h.create(h.days.founding, Key{"Contact", a.Name},
				text("name", a.Name), text("department", a.Office), ref("manager", Key{"Contact", a.Manager}))
		}
	}
}

func (h *history) deals(rows []Deal, office string) {
	for _, o := range rows {
		if !in(h.office[o.Agent], office) {
			continue
		}
		at, stage := noon(o.Engaged), stageQualification
		if o.Stage == stageProspecting {
			at, stage = h.days.last, stageProspecting
		}
		k := Key{"Deal", o.Name}
		body := []Member{text("name", o.Name), whole("value", h.price[o.Product]), text("stage", stage)}
		if o.Company != "" {
			body = append(body, ref("organization", Key{"Organization", o.Company}))
		}
		body = append(body, ref("owner", Key{"Contact", o.Agent}), ref("product", Key{"Product", o.Product}))
		h.create(at, k, body...)
		closed := text("actualCloseDate", o.Closed.Format(time.DateOnly))
		switch o.Stage {
		case stageWon:
			h.run("win", noon(o.Closed), k, whole("value", o.CloseValue), closed)
		case stageLost:
			h.run("lose", noon(o.Closed), k, closed)
		}
	}
}

func (h *history) run(verb string, at time.Time, k Key, body ...Member) {
	h.steps = append(h.steps, Step{At: at, Op: ingest.OpVerb, Verb: verb, Entity: k, Body: body})
}

// in says whether an office counts; "" means the whole company.
func in(office, wanted string) bool { return wanted == "" || office == wanted }
