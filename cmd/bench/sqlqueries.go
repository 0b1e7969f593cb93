package main

import (
	"encoding/json"
	"fmt"
	"math"

	"headless.ly/cmd/bench/load"
)

// statement is one of the measured statements. It means the same to the product and to DuckDB, and answers at most 100 rows
// in an order of its own.
type statement struct{ name, text string }

// statements are the twelve kinds, over contacts numbered from 0 and their organizations.
func statements(rows int) []statement {
	return []statement{
		{"count", `select count(*) from contact`},
		{"filter", `select count(*), max(leadScore), min(email) from contact where department = 'Sales' and leadScore > 50`},
		{"group by", `select stage, department, count(*), avg(leadScore) from contact group by all order by all`},
		{"two joins", `select o.industry, count(*), avg(m.leadScore) from contact c join organization o on c.organization = o.id
			join contact m on c.manager = m.id where c.stage = 'Customer' group by all order by all`},
		{"top-k", `select id, email, leadScore from contact order by leadScore desc, email limit 100`},
		{"window", `select department, id, n from (select department, id, row_number() over (partition by department order by leadScore desc, email)
			as n from contact) where n <= 10 order by all`},
		{"distinct", `select count(distinct name), count(distinct title), count(distinct organization) from contact`},
		{"string search", `select count(*), min(email) from contact where name ilike '%haddad%' or email like '%quarry%'`},
		{"date bucket", `select cast(date_trunc('month', lastEngagement) as varchar) as month, count(*), avg(leadScore) from contact group by all order by all`},
		{"quantile", `select department, quantile_cont(leadScore, 0.5), quantile_cont(leadScore, 0.95) from contact group by all order by all`},
		{"wide select", `select id, name, email, phone, title, department, stage, source, leadScore, organization, manager,
			cast(lastEngagement as varchar) as last, _version, _createdBy, firstName, lastName, mobile, avatar, role, status, language, timezone
			from contact where leadScore = 42 and department = 'Legal' order by id limit 100`},
		{"point", fmt.Sprintf(`select name, email, phone, leadScore from contact where id = '%s'`, largeID(rows/2))},
	}
}

// answerRows are the rows of an answer of either server.
type answerRows struct{ Rows [][]any }

func readRows(a load.Answer) ([][]any, error) {
	if a.Status != 200 {
		return nil, unexpected(a, 200)
	}
	var got answerRows
	if err := json.Unmarshal(a.Body, &got); err != nil {
		return nil, fmt.Errorf("read rows: %w: %.300s", err, a.Body)
	}
	return got.Rows, nil
}

// sumError is how far sums of the same numbers in another order may be apart, as a share.
const sumError = 1e-9

// checkRows is the check that an answer has these rows.
func checkRows(want [][]any) func(load.Answer) error {
	return func(a load.Answer) error {
		got, err := readRows(a)
		if err != nil {
			return err
		}
		if len(got) != len(want) {
			return fmt.Errorf("%d rows, want %d", len(got), len(want))
		}
		for i := range want {
			if !sameRow(got[i], want[i]) {
				return fmt.Errorf("row %d is %v, want %v", i, got[i], want[i])
			}
		}
		return nil
	}
}

func sameRow(got, want []any) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range want {
		a, number := got[i].(float64)
		b, also := want[i].(float64)
		if number && also && math.Abs(a-b) <= sumError*math.Abs(b) {
			continue
		}
		if got[i] != want[i] {
			return false
		}
	}
	return true
}
