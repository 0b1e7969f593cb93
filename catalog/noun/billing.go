package noun

// billing declares the nouns of the domain Billing.
func billing() []Declaration {
	return []Declaration{customerNoun(), productNoun(), planNoun(), priceNoun(), subscriptionNoun(), invoiceNoun(), paymentNoun()}
}

func customerNoun() Declaration {
	return Declaration{
		Name:        "Customer",
		Domain:      "Billing",
		Description: "The paying party: billing identity that maps to a payment-processor customer.",
		Properties: `
			name:             string!
			email:            string!# // Billing address.
			stripeCustomerId: string## // Identifier at the payment processor.
			paymentMethod:    string   // Default payment method identifier.
			currency:         string   // Preferred currency code.
			taxExempt:        string   // Tax status such as none, exempt or reverse.
			organization:     -> Organization
			subscriptions:    <- Subscription.customer[]
			invoices:         <- Invoice.customer[]
			payments:         <- Payment.customer[]
			contact:          -> Contact
		`,
	}
}

func productNoun() Declaration {
	return Declaration{
		Name:        "Product",
		Domain:      "Billing",
		Description: "Something that is sold; groups plans and mirrors a payment-processor product.",
		Properties: `
			name:            string!
			slug:            string##
			description:     string
			tagline:         string
			type:            Software | Service | Addon | Bundle
			icon:            string
			image:           string
			features:        string   // Serialized list.
			highlights:      string   // Serialized list of selling points.
			status:          enum(Draft, Active, Archived)=Draft
			visibility:      Public | Private | Hidden
			featured:        boolean  // Shown first in catalogues.
			stripeProductId: string## // Identifier at the payment processor.
			plans:           <- Plan.product[]
		`,
	}
}

func planNoun() Declaration {
	return Declaration{
		Name:        "Plan",
		Domain:      "Billing",
		Description: "A pricing tier of a product, with limits, trial length and availability status.",
		Properties: `
			name:         string!
			slug:         string##
			description:  string
			trialDays:    number  // Length of the free trial.
			features:     string  // Serialized list.
			limits:       string  // Serialized usage limits.
			status:       enum(Draft, Active, Grandfathered, Archived)=Draft // Grandfathered plans keep existing subscribers but take no new ones.
			isDefault:    boolean // Used for new sign-ups.
			isFree:       boolean
			isEnterprise: boolean // Custom pricing.
			badge:        string  // Short marketing label.
			order:        number  // Sort position on a pricing page.
			product:      -> Product.plans
			prices:       <- Price.plan[]
		`,
	}
}

func priceNoun() Declaration {
	return Declaration{
		Name:        "Price",
		Domain:      "Billing",
		Description: "An amount in a currency at a billing interval, belonging to a plan.",
		Properties: `
			amount:          number!    // Smallest currency unit (cents).
			currency:        string=usd // ISO 4217 code, lower case.
			interval:        Monthly | Quarterly | Yearly | OneTime
			intervalCount:   number     // Number of intervals between two charges.
			originalAmount:  number     // Amount before discount, smallest currency unit.
			discountPercent: number     // 0 to 100.
			active:          boolean    // Offered to new subscriptions.
			stripeId:        string##   // Identifier at the payment processor.
			plan:            -> Plan.prices
		`,
	}
}

func subscriptionNoun() Declaration {
	return Declaration{
		Name:        "Subscription",
		Domain:      "Billing",
		Description: "A recurring agreement between a customer and a plan, with its billing period and lifecycle status.",
		Properties: `
			status:               Active | PastDue | Cancelled | Trialing | Paused | Incomplete | Reactivated | Upgraded | Downgraded
			currentPeriodStart:   datetime!   // Start of the running billing period.
			currentPeriodEnd:     datetime!   // End of the running billing period.
			cancelAtPeriodEnd:    boolean     // Cancel when the period ends rather than at once.
			trialStart:           datetime
			trialEnd:             datetime
			startedAt:            datetime!
			canceledAt:           datetime    // When cancellation was asked for (one l, unlike the verb form).
			pausedAt:             datetime
			resumesAt:            datetime    // When a pause ends by itself.
			endedAt:              datetime    // When it ended for good.
			cancelReason:         string      // Machine-readable reason.
			cancelFeedback:       string      // Free text from the customer.
			quantity:             number      // Seats or units.
			paymentMethod:        string
			collectionMethod:     string      // Either charge_automatically or else send_invoice.
			stripeSubscriptionId: string##    // Identifier at the payment processor.
			stripeCustomerId:     string      // Identifier of the paying customer at the processor.
			organization:         -> Organization.subscriptions
			customer:             -> Customer.subscriptions
			plan:                 -> Plan
			pause:                Paused
			cancel:               Cancelled   // At once, also with cancelAtPeriodEnd; endedAt marks the real end.
			reactivate:           Reactivated // Reports count the status as active.
			upgrade:              Upgraded    // The body has the new plan. Reports count the status as active.
			downgrade:            Downgraded  // The body has the new plan. Reports count the status as active.
			activate:             Activated   // From trialing, past due or incomplete.
			renew:                Renewed     // The body has the new period.
		`,
		Verbs: map[string]Behavior{
			"pause":    {Stamp: "pausedAt"},
			"cancel":   {Stamp: "canceledAt"},
			"activate": {Effects: []Effect{{Field: "status", Op: Set, Value: "Active"}}},
			"renew":    {Effects: []Effect{{Field: "status", Op: Set, Value: "Active"}}},
		},
	}
}

func invoiceNoun() Declaration {
	return Declaration{
		Name:        "Invoice",
		Domain:      "Billing",
		Description: "A bill for a customer with totals, line items and collection status.",
		Properties: `
			number:          string!## // Human-readable sequential number.
			subtotal:        number!   // Before tax and discount, smallest currency unit.
			tax:             number    // Smallest currency unit.
			discount:        number    // Smallest currency unit.
			total:           number!   // After tax and discount.
			amountPaid:      number    // Collected so far.
			amountDue:       number!   // Still to collect.
			currency:        string    // ISO 4217 code, lower case.
			status:          enum(Draft, Open, Paid, Voided, Uncollectible)=Draft
			periodStart:     datetime  // Start of the billed period.
			periodEnd:       datetime  // End of the billed period.
			issuedAt:        datetime  // When it was finalized.
			dueAt:           datetime
			paidAt:          datetime
			voidedAt:        datetime
			lineItems:       json      // Array with one object per charged line.
			receiptUrl:      string
			pdfUrl:          string
			hostedUrl:       string
			stripeInvoiceId: string##  // Identifier at the payment processor.
			organization:    -> Organization
			customer:        -> Customer.invoices
			subscription:    -> Subscription
			pay:             Paid
			void:            Voided
			finalize:        Finalized // A draft becomes open for payment.
		`,
		Verbs: map[string]Behavior{
			"pay":      {Stamp: "paidAt"},
			"void":     {Stamp: "voidedAt"},
			"finalize": {Effects: []Effect{{Field: "status", Op: Set, Value: "Open"}}},
		},
	}
}

func paymentNoun() Declaration {
	return Declaration{
		Name:        "Payment",
		Domain:      "Billing",
		Description: "One movement of money (attempted, collected, failed or returned) against an invoice.",
		Properties: `
			amount:          number!  // Smallest currency unit (cents).
			currency:        string   // ISO 4217 code, lower case.
			status:          enum(Pending, Succeeded, Failed, Refunded)=Pending
			method:          string   // Readable payment method label.
			stripePaymentId: string## // Identifier at the payment processor.
			customer:        -> Customer.payments
			invoice:         -> Invoice
			refund:          Refunded
			capture:         Captured // Collects an authorised payment.
		`,
		Verbs: map[string]Behavior{
			"capture": {Effects: []Effect{{Field: "status", Op: Set, Value: "Succeeded"}}},
		},
	}
}
