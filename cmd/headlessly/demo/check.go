package demo

import "fmt"

// The stages that the data's deals have in the end.
const (
	stageProspecting   = "Prospecting"
	stageQualification = "Qualification"
	stageWon           = "Won"
	stageLost          = "Lost"
)

// check sees that names are unique, references resolve and each deal's dates fit its stage, so that nothing after it can
// lose a row silently.
func (d *Dataset) check() error {
	companies, err := index("account", d.Companies, func(c Company) string { return c.Name })
	if err != nil {
		return err
	}
	products, err := index("product", d.Products, func(p Product) string { return p.Name })
	if err != nil {
		return err
	}
	agents, err := index("sales agent", d.Agents, func(a Agent) string { return a.Name })
	if err != nil {
		return err
	}
	if _, err := index("opportunity", d.Deals, func(o Deal) string { return o.Name }); err != nil {
		return err
	}
	if err := d.checkManagers(agents); err != nil {
		return err
	}
	for _, c := range d.Companies {
		if c.Parent != "" && !companies[c.Parent] {
			return fmt.Errorf("account %s: no account %q", c.Name, c.Parent)
		}
	}
	for _, o := range d.Deals {
		switch {
		case !agents[o.Agent]:
			return fmt.Errorf("opportunity %s: no sales agent %q", o.Name, o.Agent)
		case !products[o.Product]:
			return fmt.Errorf("opportunity %s: no product %q", o.Name, o.Product)
		case o.Company != "" && !companies[o.Company]:
			return fmt.Errorf("opportunity %s: no account %q", o.Name, o.Company)
		}
		if err := o.checkDates(); err != nil {
			return fmt.Errorf("opportunity %s: %w", o.Name, err)
		}
	}
	return nil
}

// checkManagers sees that a manager has one office and is nobody's agent.
func (d *Dataset) checkManagers(agents map[string]bool) error {
	office := map[string]string{}
	for _, a := range d.Agents {
		at, known := office[a.Manager]
		if a.Manager == "" || agents[a.Manager] || known && at != a.Office {
			return fmt.Errorf("sales agent %s: manager %q", a.Name, a.Manager)
		}
		office[a.Manager] = a.Office
	}
	return nil
}

func (o Deal) checkDates() error {
	engaged, closed := !o.Engaged.IsZero(), !o.Closed.IsZero()
	switch o.Stage {
	case stageProspecting:
		if engaged || closed {
			return fmt.Errorf("dates in stage %s", o.Stage)
		}
	case stageQualification:
		if !engaged || closed {
			return fmt.Errorf("stage %s needs an engage date and no close date", o.Stage)
		}
	case stageWon, stageLost:
		if !engaged || !closed || !o.Engaged.Before(o.Closed) {
			return fmt.Errorf("stage %s needs an engage date and a later close date", o.Stage)
		}
	default:
		return fmt.Errorf("unknown stage %q", o.Stage)
	}
	return nil
}

// index is the set of the rows' names, which are neither empty nor repeated.
func index[Row any](what string, rows []Row, name func(Row) string) (map[string]bool, error) {
	names := make(map[string]bool, len(rows))
	for _, r := range rows {
		n := name(r)
		if n == "" || names[n] {
			return nil, fmt.Errorf("%s %q: empty or twice", what, n)
		}
		names[n] = true
	}
	return names, nil
}
