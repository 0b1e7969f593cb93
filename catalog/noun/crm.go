package noun

// crm declares the nouns of the domain CRM.
func crm() []Declaration {
	return []Declaration{organizationNoun(), contactNoun(), leadNoun(), dealNoun(), activityNoun(), pipelineNoun()}
}

func organizationNoun() Declaration {
	return Declaration{
		Name:        "Organization",
		Domain:      "CRM",
		Description: "An account-level company record: customer, prospect, partner, vendor or rival, with firmographics and scores.",
		Properties: `
			name:          string!
			legalName:     string
			slug:          string##
			domain:        string## // Main web domain.
			website:       string
			description:   string
			logo:          string
			type:          enum(Prospect, Customer, Partner, Vendor, Competitor)=Prospect // Relationship of the company to the tenant.
			status:        Active | Inactive | Churned | Archived
			tier:          Enterprise | Business | Startup | SMB
			source:        string   // How the account was acquired.
			industry:      string
			naicsCode:     string   // NAICS industry code.
			employeeCount: number
			annualRevenue: number   // In base currency.
			foundedYear:   number   // Four-digit year.
			address:       string
			city:          string
			state:         string   // Postal state or province, not a lifecycle state.
			country:       string
			postalCode:    string
			timezone:      string   // IANA zone name.
			lifetimeValue: number   // Revenue earned from the account so far.
			healthScore:   number   // 0 to 100.
			npsScore:      number   // Net promoter score.
			linkedinUrl:   string
			twitterHandle: string
			parent:        -> Organization.subsidiaries
			subsidiaries:  <- Organization.parent[]
			contacts:      <- Contact.organization[]
			deals:         <- Deal.organization[]
			subscriptions: <- Subscription.organization[]
			enrich:        Enriched // The body has the new values.
			score:         Scored   // The body has the healthScore.
		`,
	}
}

func contactNoun() Declaration {
	return Declaration{
		Name:        "Contact",
		Domain:      "CRM",
		Description: "An individual person tied to an organization, tracked through a customer lifecycle stage.",
		Properties: `
			name:             string!  // Full display name.
			firstName:        string
			lastName:         string
			email:            string## // Main address.
			phone:            string   // Office number.
			mobile:           string
			avatar:           string   // Image URL.
			title:            string   // Job title.
			department:       string
			role:             DecisionMaker | Influencer | Champion | Blocker | User // Part played in a purchase decision.
			stage:            enum(Lead, Qualified, Customer, Churned, Partner)=Lead // Customer lifecycle stage.
			status:           Active | Inactive | Bounced | Unsubscribed // Reachability.
			source:           string   // Acquisition source.
			leadScore:        number   // Computed priority score.
			preferredChannel: Email | Phone | SMS | Chat
			timezone:         string   // IANA zone name.
			language:         string   // Language code.
			linkedinUrl:      string
			twitterHandle:    string
			marketingConsent: string   // Consent status as text.
			lastEngagement:   datetime // Time of the latest interaction.
			organization:     -> Organization.contacts
			leads:            <- Lead.contact[]
			activities:       <- Activity.contact[]
			manager:          -> Contact.reports
			reports:          <- Contact.manager[]
			qualify:          Qualified
			capture:          Captured // The body may have the source.
			assign:           Assigned // The body has the assignee; no field of its own is declared for it.
			merge:            Merged   // The body names the duplicate. Nothing is merged by itself.
			enrich:           Enriched // The body has the new values.
		`,
		Verbs: map[string]Behavior{
			"merge": {InputOnly: true},
		},
	}
}

func leadNoun() Declaration {
	return Declaration{
		Name:        "Lead",
		Domain:      "CRM",
		Description: "An inbound sales opportunity candidate carrying budget/authority/need/timeline answers and campaign attribution.",
		Properties: `
			name:           string!
			status:         enum(New, Contacted, Qualified, Converted, Lost)=New
			source:         string!   // Acquisition channel.
			sourceDetail:   string    // Finer detail of the source, such as a page or campaign.
			score:          number    // Qualification score.
			budget:         number    // Estimated spend (B of BANT).
			authority:      string    // Who decides (A of BANT).
			need:           string    // Problem to solve (N of BANT).
			timeline:       string    // Expected purchase time (T of BANT).
			convertedAt:    datetime  // When it became a deal.
			lostReason:     string
			lostAt:         datetime  // When it was lost.
			firstTouchAt:   datetime  // First interaction.
			lastActivityAt: datetime  // Latest interaction.
			contact:        -> Contact.leads
			organization:   -> Organization
			owner:          -> Contact
			campaign:       -> Campaign.leads
			deal:           -> Deal.leads
			convert:        Converted // A hook is expected to create the deal and link it.
			lose:           Lost
		`,
		Verbs: map[string]Behavior{
			"convert": {Stamp: "convertedAt"},
			"lose":    {Stamp: "lostAt"},
		},
	}
}

func dealNoun() Declaration {
	return Declaration{
		Name:        "Deal",
		Domain:      "CRM",
		Description: "A sales opportunity with a monetary value that travels through pipeline stages to won or lost.",
		Properties: `
			name:              string!
			value:             number!  // Total value in base currency.
			currency:          string   // Currency code.
			recurringValue:    number   // Recurring part of the value.
			recurringInterval: Monthly | Quarterly | Yearly
			stage:             enum(Prospecting, Qualification, Proposal, Negotiation, Closed, Won, Lost)=Prospecting
			probability:       number   // Chance of winning, 0 to 100.
			expectedCloseDate: date
			actualCloseDate:   date
			description:       string
			nextStep:          string
			competitorNotes:   string   // Notes on rival offers.
			lostReason:        string
			wonReason:         string
			source:            string
			lastActivityAt:    datetime // Latest interaction.
			organization:      -> Organization.deals
			contact:           -> Contact
			owner:             -> Contact
			leads:             <- Lead.deal[]
			campaign:          -> Campaign
			activities:        <- Activity.deal[]
			close:             Closed   // Neutral: win and lose carry the outcome.
			win:               Won
			lose:              Lost
			advance:           Advanced // One step, or to the stage in the body. Winning is left to win.
			reopen:            Reopened // Back to the first stage.
		`,
		Verbs: map[string]Behavior{
			"advance": {Effects: []Effect{{
				Field: "stage", Op: Next, Steps: []string{"Prospecting", "Qualification", "Proposal", "Negotiation"}, Yields: true,
			}}},
			"reopen": {Effects: []Effect{{Field: "stage", Op: Set, Value: "Prospecting"}}},
		},
	}
}

func activityNoun() Declaration {
	return Declaration{
		Name:        "Activity",
		Domain:      "CRM",
		Description: "One interaction or to-do (call, email, meeting, task and so on) attached to deals and people.",
		Properties: `
			subject:      string!
			type:         Call | Email | Meeting | Task | Note | Demo | FollowUp
			description:  string
			dueAt:        datetime // Deadline of a task or follow-up.
			startAt:      datetime
			endAt:        datetime
			duration:     number   // Minutes.
			allDay:       boolean
			timezone:     string   // IANA zone name.
			status:       enum(Pending, InProgress, Completed, Cancelled)=Pending
			priority:     Low | Medium | High | Urgent
			completedAt:  datetime // When it was finished.
			outcome:      string   // Result once finished.
			recordingUrl: string
			meetingLink:  string   // Video call URL.
			reminderAt:   datetime
			deal:         -> Deal.activities
			contact:      -> Contact.activities
			organization: -> Organization
			campaign:     -> Campaign
			assignee:     -> Contact
			createdBy:    -> Contact
			complete:     Completed
			cancel:       Cancelled
			log:          Logged   // Something that already happened; the body may have status Completed and the outcome.
		`,
		Verbs: map[string]Behavior{
			"complete": {Stamp: "completedAt"},
		},
	}
}

func pipelineNoun() Declaration {
	return Declaration{
		Name:        "Pipeline",
		Domain:      "CRM",
		Description: "Configuration of an ordered list of sales stages and the idle-deal threshold.",
		Properties: `
			name:        string!
			slug:        string##
			description: string
			isDefault:   boolean // Used for new deals when none is named.
			stages:      json    // Ordered array of objects with name, probability and order.
			dealRotting: number  // Days without activity before a deal is flagged as stale.
		`,
	}
}
