package noun_test

import (
	"slices"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

func TestResolve(t *testing.T) {
	core := noun.Core()
	for name, want := range map[string]string{
		"FeatureFlag": "FeatureFlag", "featureflag": "FeatureFlag", "FEATUREFLAG": "FeatureFlag", "featureFlag": "FeatureFlag",
		"featureFlags": "FeatureFlag", "FeatureFlags": "FeatureFlag", "featureflags": "FeatureFlag", "FEATUREFLAGS": "FeatureFlag",
		"feature-flags": "FeatureFlag", "Feature-Flags": "FeatureFlag", "feature-flag": "FeatureFlag",
		"apiKeys": "ApiKey", "api-keys": "ApiKey", "apikeys": "ApiKey", "ApiKey": "ApiKey", "api-key": "ApiKey", "APIKEY": "ApiKey",
		"Contact": "Contact", "contact": "Contact", "contacts": "Contact", "CONTACTS": "Contact",
		"content": "Content", "contents": "Content", "Contents": "Content", "Content": "Content",
		"activities": "Activity", "activity": "Activity", "events": "Event", "metrics": "Metric", "assets": "Asset",
		"companies": "", "Company": "", "": "", "contactses": "", "activitys": "", "con-tacts": "", "-contacts": "",
		"feature_flags": "", "feature flags": "", "flag": "", "org": "",
	} {
		n, ok := core.Resolve(name)
		got := ""
		if ok {
			got = n.Name
		}
		equal(t, "resolve "+name, got, want)
	}
}

func TestEverySlugResolvesToItsNoun(t *testing.T) {
	for _, n := range noun.Core().All() {
		s := n.Slugs
		for _, slug := range append([]string{s.Type, s.Collection, s.Singular, s.RPC, n.Table()}, s.Aliases...) {
			for _, spelling := range []string{slug, strings.ToUpper(slug), strings.ToLower(slug), strings.ReplaceAll(slug, "-", "")} {
				if got, ok := noun.Core().Resolve(spelling); !ok || got != n {
					t.Errorf("%s does not resolve to %s", spelling, n.Name)
				}
			}
		}
		if got, ok := noun.Core().ByPrefix(strings.ToUpper(n.IDPrefix)); !ok || got != n {
			t.Errorf("prefix %s does not lead to %s", n.IDPrefix, n.Name)
		}
	}
	for _, prefix := range []string{"evt", "org", "", "contacts", "contact_"} {
		if n, ok := noun.Core().ByPrefix(prefix); ok {
			t.Errorf("prefix %q leads to %s", prefix, n.Name)
		}
	}
	if _, ok := noun.Core().Get("contact"); ok {
		t.Error("Get is exact")
	}
}

// TestBothSides: every relationship of the core leads to one that leads back.
func TestBothSides(t *testing.T) {
	for _, n := range noun.Core().All() {
		seen := map[string]bool{}
		for _, c := range n.Columns() {
			seen[c.Name] = c.Field != nil
		}
		for i := range n.Relationships {
			r := &n.Relationships[i]
			if seen[r.Name] {
				t.Errorf("%s.%s stands twice", n.Name, r.Name)
			}
			seen[r.Name] = true
			if got, ok := n.Relationship(r.Name); !ok || got != r {
				t.Errorf("%s.%s is not found", n.Name, r.Name)
			}
			target, _ := noun.Core().Get(r.Target)
			back, ok := target.Relationship(r.Inverse)
			if !ok || back.Target != n.Name || back.Inverse != r.Name || back.Forward == r.Forward {
				t.Errorf("%s.%s has no other side: %+v", n.Name, r.Name, r)
				continue
			}
			if reverse, forward := pick(r, back); reverse.Via != forward.Name || !reverse.Many || forward.Via != "" || forward.Derived {
				t.Errorf("%s.%s: reverse %+v of %+v", n.Name, r.Name, reverse, forward)
			}
		}
	}
}

func pick(a, b *noun.Relationship) (reverse, forward *noun.Relationship) {
	if a.Forward {
		return b, a
	}
	return a, b
}

// TestDerivedInverses lists every inverse of the core that nobody declared, as noun.name = source.field.
func TestDerivedInverses(t *testing.T) {
	var got []string
	for _, n := range noun.Core().All() {
		for _, r := range n.Relationships {
			if r.Derived {
				got = append(got, n.Name+"."+r.Name+" = "+r.Target+"."+r.Via)
			}
		}
	}
	want := strings.Split(strings.TrimSpace(derivedInverses), "\n")
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not expected: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
}

const derivedInverses = `
Organization.leads = Lead.organization
Organization.activities = Activity.organization
Organization.customers = Customer.organization
Organization.invoices = Invoice.organization
Organization.projects = Project.organization
Organization.contents = Content.organization
Organization.tickets = Ticket.organization
Organization.events = Event.organization
Organization.metrics = Metric.organization
Organization.funnels = Funnel.organization
Organization.goals = Goal.organization
Organization.campaigns = Campaign.organization
Organization.segments = Segment.organization
Organization.forms = Form.organization
Organization.experiments = Experiment.organization
Organization.featureFlags = FeatureFlag.organization
Organization.workflows = Workflow.organization
Organization.agents = Agent.organization
Contact.leadsByOwner = Lead.owner
Contact.deals = Deal.contact
Contact.dealsByOwner = Deal.owner
Contact.activitiesByAssignee = Activity.assignee
Contact.activitiesByCreatedBy = Activity.createdBy
Contact.customers = Customer.contact
Contact.projects = Project.owner
Contact.issues = Issue.reporter
Contact.issuesByAssignee = Issue.assignee
Contact.comments = Comment.author
Contact.contents = Content.author
Contact.assets = Asset.uploadedBy
Contact.tickets = Ticket.requester
Contact.ticketsByAssignee = Ticket.assignee
Contact.campaigns = Campaign.owner
Contact.experiments = Experiment.owner
Contact.agents = Agent.owner
Contact.messages = Message.recipient
Contact.messagesBySender = Message.sender
Deal.tickets = Ticket.deal
Plan.subscriptions = Subscription.plan
Subscription.invoices = Invoice.subscription
Invoice.payments = Payment.invoice
Asset.contents = Content.featuredImage
Metric.goals = Goal.metric
Campaign.deals = Deal.campaign
Campaign.activities = Activity.campaign
Experiment.featureFlags = FeatureFlag.experiment
`

func TestContactDeals(t *testing.T) {
	contact, _ := noun.Core().Get("Contact")
	deals, ok := contact.Relationship("deals")
	if !ok {
		t.Fatal("missing")
	}
	equal(t, "deals", *deals, noun.Relationship{Name: "deals", Target: "Deal", Inverse: "contact", Via: "contact", Many: true, Derived: true})
	for _, path := range [][2]string{{"Contact", "tickets"}, {"Contact", "messages"}, {"Organization", "tickets"}, {"Organization", "deals"}} {
		n, _ := noun.Core().Get(path[0])
		if r, ok := n.Relationship(path[1]); !ok || r.Forward || !r.Many {
			t.Errorf("%v: %+v", path, r)
		}
	}
}

// TestAnotherNoun: a 36th noun is one declaration.
func TestAnotherNoun(t *testing.T) {
	vehicle := define(t, noun.Declaration{Name: "CompanyVehicle", Domain: "Fleet", Properties: `
		plate:   string!##
		status:  enum(Parked, Driven, Sold)=Parked
		driver:  -> Contact
		owner:   -> Organization.fleet
		contact: -> Contact
		twin:    -> CompanyVehicle.twinOf
		drive:   Driven
		sell:    Sold
	`})
	r, err := noun.NewRegistry(append(noun.Core().All(), vehicle)...)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "nouns", len(r.All()), 36)
	n, ok := r.Resolve("company-vehicles")
	if !ok || n.Name != "CompanyVehicle" {
		t.Fatal("not found by its plural")
	}
	contact, _ := r.Get("Contact")
	for name, want := range map[string]noun.Relationship{
		"companyVehicles":         {Inverse: "contact", Via: "contact"}, // the field named like the target is preferred
		"companyVehiclesByDriver": {Inverse: "driver", Via: "driver"},
		"deals":                   {Inverse: "contact", Via: "contact"},
	} {
		got, ok := contact.Relationship(name)
		equal(t, name, ok && got.Derived && got.Inverse == want.Inverse && got.Via == want.Via, true)
	}
	organization, _ := r.Get("Organization")
	fleet, ok := organization.Relationship("fleet")
	equal(t, "fleet", ok && fleet.Target == "CompanyVehicle" && fleet.Via == "owner" && fleet.Many, true)
	_, ok = n.Relationship("twinOf")
	equal(t, "self reference", ok, true)

	before, _ := noun.Core().Get("Contact")
	if _, ok := before.Relationship("companyVehicles"); ok {
		t.Error("the core has changed")
	}
	if _, ok := vehicle.Relationship("twinOf"); ok {
		t.Error("the given noun has changed")
	}
	equal(t, "ids", strings.HasPrefix(n.NewID(), "companyvehicle_"), true)
}

func TestInverseNames(t *testing.T) {
	for _, c := range []struct{ name, target, source, want string }{
		{"plural", "a: string", "tub: -> Tub", "corks=tub"},
		{"named like the target first", "a: string", "owner: -> Tub\ntub: -> Tub", "corks=tub corksByOwner=owner"},
		{"else in order of declaration", "a: string", "up: -> Tub\ndown: -> Tub", "corks=up corksByDown=down"},
		{"order of people is for Contact only", "a: string", "up: -> Tub\nowner: -> Tub", "corks=up corksByOwner=owner"},
		{"the preferred one has a name", "a: string", "tub: -> Tub.lids\nowner: -> Tub", "lids=tub corksByOwner=owner"},
		{"the target uses the plural for a field", "corks: number", "tub: -> Tub", "corksByTub=tub"},
		{"the target declares the reverse", "stoppers: <- Cork.tub[]", "tub: -> Tub", "stoppers=tub"},
		{"the target declares the reverse without the field", "stoppers: <- Cork[]", "tub: -> Tub", "stoppers=tub"},
		{"one to one", "stopper: <- Cork.tub", "tub: -> Tub.stopper", "stopper=tub"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tub, cork := define(t, noun.Declaration{Name: "Tub", Properties: c.target}), define(t, noun.Declaration{Name: "Cork", Properties: c.source})
			for _, nouns := range [][]*noun.Noun{{tub, cork}, {cork, tub}} {
				r, err := noun.NewRegistry(nouns...)
				if err != nil {
					t.Fatal(err)
				}
				n, _ := r.Get("Tub")
				var got []string
				for _, rel := range n.Relationships {
					got = append(got, rel.Name+"="+rel.Via)
				}
				slices.Sort(got)
				want := strings.Fields(c.want)
				slices.Sort(want)
				equal(t, "inverses", got, want)
			}
		})
	}
}

func TestRegistryRefuses(t *testing.T) {
	for says, tables := range map[string][2]string{
		"there is no noun Nobody":                    {"a: -> Nobody", "a: string"},
		`0 forward relationships "x" that lead here`: {"a: <- Cork.x[]", "a: string"},
		`0 forward relationships "y" that lead here`: {"a: <- Cork.y[]", "y: string"},
		`2 forward relationships "" that lead here`:  {"a: <- Cork[]", "x: -> Tub\ny: -> Tub"},
		"uses the name a for something else":         {"a: string", "x: -> Tub.a"},
		"uses the name b for something else":         {"a: string", "x: -> Tub.b\ny: -> Tub.b"},
		"the inverse of Cork.x is b already":         {"c: <- Cork.x[]", "x: -> Tub.b"},
		"the inverse of Cork.x is c already":         {"c: <- Cork.x[]\nd: <- Cork.x[]", "x: -> Tub"},
		"name the inverse":                           {"corks: string\ncorksByX: string", "x: -> Tub"},
	} {
		tub, cork := define(t, noun.Declaration{Name: "Tub", Properties: tables[0]}), define(t, noun.Declaration{Name: "Cork", Properties: tables[1]})
		if _, err := noun.NewRegistry(tub, cork); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
	a, b := define(t, noun.Declaration{Name: "Tub"}), define(t, noun.Declaration{Name: "Tubs"})
	for says, nouns := range map[string][]*noun.Noun{"another noun has this name": {a, a}, `"tubs" is also a name of Tub`: {a, b}} {
		if _, err := noun.NewRegistry(nouns...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

func TestSearchable(t *testing.T) {
	for name, want := range map[string]string{
		"Contact": "name email title", "Ticket": "subject", "Customer": "name email stripeCustomerId", "Comment": "",
		"FeatureFlag": "key name", "Invoice": "number stripeInvoiceId", "Event": "name",
	} {
		n, _ := noun.Core().Get(name)
		equal(t, name, strings.Join(n.Searchable(), " "), want)
	}
}

func TestPlurals(t *testing.T) {
	for name, want := range map[string]string{
		"Company": "companies", "Day": "days", "Address": "addresses", "TaxBox": "tax boxes", "Branch": "branches",
		"Person": "people", "SalesPerson": "sales people", "Child": "children", "Index": "indices", "FeatureFlag": "feature flags",
	} {
		equal(t, name, define(t, noun.Declaration{Name: name}).Plural, want)
	}
}
