package noun

// marketing declares the nouns of the domain Marketing.
func marketing() []Declaration {
	return []Declaration{campaignNoun(), segmentNoun(), formNoun()}
}

func campaignNoun() Declaration {
	return Declaration{
		Name:        "Campaign",
		Domain:      "Marketing",
		Description: "A marketing initiative with budget, dates, attribution parameters and results.",
		Properties: `
			name:           string!
			slug:           string##
			description:    string
			type:           Email | Social | Content | Event | Paid | Webinar | Referral
			status:         enum(Draft, Scheduled, Active, Launched, Paused, Completed, Cancelled)=Draft
			startDate:      date     // Planned.
			endDate:        date     // Planned.
			launchedAt:     datetime // Real launch time.
			budget:         number
			actualCost:     number   // Spend so far.
			currency:       string   // Currency code.
			targetLeads:    number
			targetRevenue:  number
			actualLeads:    number
			actualRevenue:  number
			roi:            number   // Computed return on investment.
			landingPageUrl: string
			utmSource:      string
			utmMedium:      string
			utmCampaign:    string
			leads:          <- Lead.campaign[]
			organization:   -> Organization
			owner:          -> Contact
			launch:         Launched
			pause:          Paused
			complete:       Completed
		`,
		Verbs: map[string]Behavior{
			"launch": {Stamp: "launchedAt"},
		},
	}
}

func segmentNoun() Declaration {
	return Declaration{
		Name:        "Segment",
		Domain:      "Marketing",
		Description: "A saved audience defined by criteria, dynamic or hand-maintained.",
		Properties: `
			name:         string!
			description:  string
			criteria:     string    // Filter as JSON or query text.
			memberCount:  number    // Members at the last refresh.
			isDynamic:    boolean   // true: membership recomputed; false: maintained by hand.
			organization: -> Organization
			refresh:      Refreshed // Will compute memberCount; changes nothing yet.
		`,
		Verbs: map[string]Behavior{
			"refresh": {InputOnly: true},
		},
	}
}

func formNoun() Declaration {
	return Declaration{
		Name:        "Form",
		Domain:      "Marketing",
		Description: "A data-collection form whose submissions are counted.",
		Properties: `
			name:            string!
			description:     string
			fields:          string    // JSON text with the field definitions.
			status:          enum(Draft, Active, Published, Archived)=Draft
			submissionCount: number    // Total received.
			organization:    -> Organization
			publish:         Published
			archive:         Archived
			submit:          Submitted // Counts; the submitted values are the input of the event.
		`,
		Verbs: map[string]Behavior{
			"submit": {Effects: []Effect{{Field: "submissionCount", Op: Inc, By: 1}}, InputOnly: true},
		},
	}
}
