package main

import (
	"fmt"
	"strconv"
	"strings"

	"headless.ly/cmd/bench/rival"
)

// contact is the record that every server stores. It follows from its number alone, so that what a server answers can be
// checked without keeping what it was sent. Its strings need no escaping in JSON.
type contact struct {
	name, email, phone, title, department, stage, source string
	leadScore                                            int
}

// The words a contact is made of. No contact made by newContact is at stage busyStage, in department busyDepartment.
const (
	firstNames  = "Noor Iva Emil Ruth Tomás Aiko Lena Omar Sofia Paul Grace Nils Mei Anton Zoë Karim"
	lastNames   = "Haddad Lund Becker Okafor Silva Tanaka Novak Farah Rossi Meyer Adeyemi Berg Chen Orlov Dubois Aziz"
	companies   = "harbour quarry lantern meadow foundry orchard compass thicket"
	titles      = "VP-Sales VP-Finance Buyer Engineer Head-of-IT Analyst Founder Controller"
	departments = "Sales Finance Purchasing Engineering IT Operations Legal Support"
	sources     = "Referral Website Fair Call Partner Advert"

	busyStage      = "Partner"
	busyDepartment = "Field"
)

// words is a vocabulary, split once.
type words struct{ first, last, companies, titles, departments, sources, stages []string }

func newWords() *words {
	return &words{
		first: strings.Fields(firstNames), last: strings.Fields(lastNames), companies: strings.Fields(companies),
		titles: strings.Fields(titles), departments: strings.Fields(departments),
		sources: strings.Fields(sources), stages: rival.Stages[:len(rival.Stages)-1],
	}
}

// contact makes contact number n.
func (w *words) contact(n int) contact {
	h := mix(uint64(n))
	pick := func(list []string) string {
		s := list[h%uint64(len(list))]
		h = mix(h)
		return s
	}
	first, last := pick(w.first), pick(w.last)
	number := fmt.Sprintf("%07d", n)
	return contact{
		name:       first + " " + last,
		email:      strings.ToLower(last) + "." + number + "@" + pick(w.companies) + ".example",
		phone:      "+1 555 " + number,
		title:      strings.ReplaceAll(pick(w.titles), "-", " "),
		department: pick(w.departments),
		stage:      pick(w.stages),
		source:     pick(w.sources),
		leadScore:  int(h % 100),
	}
}

// busy is contact number n as it is created while others are listed: no list shows it.
func (w *words) busy(n int) contact {
	c := w.contact(n)
	c.stage, c.department = busyStage, busyDepartment
	return c
}

// appendJSON appends the body of the contact's create.
func (c *contact) appendJSON(b []byte) []byte {
	for _, f := range [...][2]string{
		{`{"name":"`, c.name}, {`","email":"`, c.email}, {`","phone":"`, c.phone}, {`","title":"`, c.title},
		{`","department":"`, c.department}, {`","stage":"`, c.stage}, {`","source":"`, c.source},
	} {
		b = append(b, f[0]...)
		b = append(b, f[1]...)
	}
	b = append(b, `","leadScore":`...)
	b = strconv.AppendInt(b, int64(c.leadScore), 10)
	return append(b, '}')
}

// mix spreads a number over 64 bits (SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
