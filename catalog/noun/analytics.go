package noun

// analytics declares the nouns of the domain Analytics.
func analytics() []Declaration {
	return []Declaration{eventNoun(), metricNoun(), funnelNoun(), goalNoun()}
}

func eventNoun() Declaration {
	return Declaration{
		Name:        "Event",
		Domain:      "Analytics",
		Description: "An append-only tracked occurrence (page view, sign-up, API call); cannot be changed or removed once written.",
		Properties: `
			name:         string!   // What happened, for example page_view.
			type:         string!   // Kind of tracking call, for example track, identify or page.
			data:         json      // Free-form payload.
			source:       Browser | Node | API | Snippet
			sessionId:    string    // Browser or agent session.
			userId:       string    // Signed-in user, if known.
			anonymousId:  string    // Visitor identifier before sign-in.
			timestamp:    datetime! // When it happened.
			url:          string
			path:         string
			referrer:     string
			properties:   json      // Structured properties.
			organization: -> Organization
			update:       null
			delete:       null
		`,
		IDLength: longLength,
	}
}

func metricNoun() Declaration {
	return Declaration{
		Name:        "Metric",
		Domain:      "Analytics",
		Description: "A named measurement value such as recurring revenue or active users.",
		Properties: `
			name:         string!
			value:        number!
			type:         Counter | Gauge | Histogram | Summary
			unit:         string      // Unit such as USD, users, percent or ms.
			dimensions:   string      // Labels for slicing, as text such as plan:pro,region:us.
			timestamp:    datetime    // When it was measured.
			organization: -> Organization
			record:       Recorded    // The body has the value, and perhaps the timestamp.
			reset:        Reset       // To zero, or to the value in the body.
			snapshot:     Snapshotted // The event is the snapshot.
		`,
		Verbs: map[string]Behavior{
			"reset": {Effects: []Effect{{Field: "value", Op: Set, Value: "0", Yields: true}}},
		},
	}
}

func funnelNoun() Declaration {
	return Declaration{
		Name:        "Funnel",
		Domain:      "Analytics",
		Description: "An ordered set of steps used to measure conversion.",
		Properties: `
			name:           string!
			description:    string
			steps:          json      // Ordered array of steps, each naming a matching event.
			conversionRate: number    // First to last step, 0 to 100.
			organization:   -> Organization
			analyze:        Analyzed  // Will compute conversionRate; changes nothing yet.
			activate:       Activated // No field says so: the log does.
		`,
		Verbs: map[string]Behavior{
			"analyze": {InputOnly: true},
		},
	}
}

func goalNoun() Declaration {
	return Declaration{
		Name:        "Goal",
		Domain:      "Analytics",
		Description: "A numeric target for a metric over a period, with progress status.",
		Properties: `
			name:         string!
			description:  string
			target:       number! // Value to reach.
			current:      number  // Progress so far.
			unit:         string  // Unit of target and current.
			period:       Daily | Weekly | Monthly | Quarterly | Yearly
			status:       enum(OnTrack, AtRisk, Behind, Achieved, Completed, Missed, Reset)=OnTrack
			metric:       -> Metric
			organization: -> Organization
			achieve:      Achieved
			complete:     Completed
			miss:         Missed
			reset:        Reset   // An update returns the goal to OnTrack for the next period.
		`,
	}
}
