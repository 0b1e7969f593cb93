package noun

// projects declares the nouns of the domain Projects.
func projects() []Declaration {
	return []Declaration{projectNoun(), issueNoun(), commentNoun()}
}

func projectNoun() Declaration {
	return Declaration{
		Name:        "Project",
		Domain:      "Projects",
		Description: "A container that groups issues toward a target date.",
		Properties: `
			name:         string!
			slug:         string##
			description:  string
			status:       enum(Active, Archived, Completed)=Active
			visibility:   Public | Private
			startDate:    date
			targetDate:   date
			tags:         string    // Comma-separated.
			organization: -> Organization
			owner:        -> Contact
			issues:       <- Issue.project[]
			archive:      Archived
			complete:     Completed
			activate:     Activated // Takes a finished or shelved project up again.
		`,
		Verbs: map[string]Behavior{
			"activate": {Effects: []Effect{{Field: "status", Op: Set, Value: "Active"}}},
		},
	}
}

func issueNoun() Declaration {
	return Declaration{
		Name:        "Issue",
		Domain:      "Projects",
		Description: "A unit of work (bug, feature, task, epic) inside a project.",
		Properties: `
			title:       string!
			description: string
			status:      enum(Open, Assigned, InProgress, Review, Done, Closed, Reopened)=Open
			priority:    Low | Medium | High | Urgent
			type:        Bug | Feature | Task | Epic
			labels:      string   // Comma-separated.
			milestone:   string   // Target release.
			dueDate:     date
			project:     -> Project.issues
			assignee:    -> Contact
			reporter:    -> Contact
			comments:    <- Comment.issue[]
			assign:      Assigned // The body has the assignee.
			close:       Closed
			reopen:      Reopened
		`,
	}
}

func commentNoun() Declaration {
	return Declaration{
		Name:        "Comment",
		Domain:      "Projects",
		Description: "A note written on an issue.",
		Properties: `
			body:    string!  // Markdown allowed.
			author:  -> Contact
			issue:   -> Issue.comments
			resolve: Resolved // No field says so: the log does.
		`,
	}
}
