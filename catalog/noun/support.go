package noun

// support declares the nouns of the domain Support.
func support() []Declaration {
	return []Declaration{ticketNoun()}
}

func ticketNoun() Declaration {
	return Declaration{
		Name:        "Ticket",
		Domain:      "Support",
		Description: "A support request with a channel, priority, assignee and resolution data.",
		Properties: `
			subject:         string!
			description:     string
			status:          enum(Open, Pending, InProgress, Resolved, Escalated, Closed, Reopened)=Open
			priority:        Low | Medium | High | Urgent
			category:        string   // Topic such as billing or technical.
			channel:         Email | Chat | Phone | Web | API
			tags:            string   // Comma-separated.
			firstResponseAt: datetime // First answer by support.
			resolvedAt:      datetime
			satisfaction:    number   // 1 to 5.
			assignee:        -> Contact
			requester:       -> Contact
			organization:    -> Organization
			deal:            -> Deal
			assign:          Assigned // The body has the assignee; the status stays.
			resolve:         Resolved
			escalate:        Escalated
			close:           Closed
			reopen:          Reopened
		`,
		Verbs: map[string]Behavior{
			"resolve": {Stamp: "resolvedAt"},
		},
	}
}
