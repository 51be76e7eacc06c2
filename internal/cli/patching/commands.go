// Package patching holds the commands of whoever patches: policies, patches, rollouts,
// simulations, and what is known of the fleet.
package patching

import "github.com/oakumhq/oakum/internal/cli/command"

// Commands are the commands of whoever patches.
func Commands() []func(*command.Env) *command.Command {
	return []func(*command.Env) *command.Command{
		command.Reader(policyValidate), command.Reader(policyTest), policyFmt, command.Reader(policyApply), policyList, policyRead, policyHistory, policyRevert, policyDelete, policyLibrary, policySchema, command.Reader(policyDiff),
		command.Reader(patchValidate), command.Reader(patchAffected), command.Reader(patchPlan), command.Reader(patchSubmit), patchSchema,
		patchRehearse, patchWhen, patchStatus, patchList, patchRead, patchQuarantines, patchLift,
		planList, planRead, planContinue, planAbort, planRetry,
		rolloutList, rolloutStatus, rolloutHistory, rolloutReport,
		rolloutApprove, rolloutUnapprove, rolloutPause, rolloutResume, rolloutPromote, rolloutAbort, rolloutRollback,
		brakeOn, brakeOff, brakeStatus,
		command.Reader(simulateCommand), simulationList, simulationRead, simulationReport, simulationLogs, simulationCancel,
		workloadRecord, command.Reader(workloadShow), workloadSend, workloadAnswer,
		graphShow, graphImpact, graphFindings, graphDiff, graphWatch, graphExport,
		profileList, profileRead, profileCompare,
		kpiCheck,
		kpiDiscover,
		inventoryList, command.Reader(inventoryShow), command.Reader(inventoryPut), command.Reader(inventoryDiff),
		complianceCommand, vulnerabilityList, vulnerabilityShow,
	}
}

// Families are the nouns of whoever patches.
func Families() []command.Family { return append(changing(), knowing()...) }

// changing are the nouns of what changes the fleet, or tries to.
func changing() []command.Family {
	return []command.Family{
		{Name: "policy", Synopsis: "Check, test and apply policies", Help: `
Policies are HCL files that say whether, how and when a patch may go to a
target. validate, test and fmt work offline, for editors and pull requests.

Begin with one that ships, with its examples:

    $ oakum policy library zero-downtime-web > zero-downtime-web.hcl
    $ oakum policy library -tests zero-downtime-web > zero-downtime-web.policytest.hcl
    $ oakum policy test .

Check a file before it is applied:

    $ oakum policy validate web-tier.hcl

Apply it:

    $ oakum policy apply web-tier.hcl`},
		{Name: "patch", Synopsis: "Plan and submit patches", Help: `
A patch is an HCL file that says what changes, what it fixes and which targets
it is for. Submitting it starts one rollout for each target.

See what would happen, without doing it:

    $ oakum patch plan openssl.hcl

See which images have the fault that it fixes:

    $ oakum patch affected openssl.hcl -inventory=sboms

Submit it, and wait for the end:

    $ oakum patch submit openssl.hcl -wait`},
		{Name: "plan", Synopsis: "Go on with a patch, or give it up, as a whole", Help: `
A plan is what one submission of a patch does: which targets, in which order. These
commands act on all of it after something has failed.

See what became of it, and go on with what is left:

    $ oakum plan list
    $ oakum plan continue openssl

Try again where the patch was rolled back, or give all of it up:

    $ oakum plan retry openssl
    $ oakum plan abort openssl`},
		{Name: "rollout", Synopsis: "Watch and steer rollouts", Help: `
A rollout is one target's patch being carried out, in stages. Oakum decides by
itself when to go on and when to turn back; these commands show it, and let a
person overrule it.

Watch one until it ends:

    $ oakum rollout status -watch 01JD3M`},
		{Name: "brake", Synopsis: "Hold everything that goes forward", Help: `
The brake holds every rollout at once, running or waiting, until somebody takes it
off. Rollbacks go all the same.

    $ oakum brake on -reason="checkout is slow, incident 4711"
    $ oakum brake status
    $ oakum brake off`},
		{Name: "simulation", Synopsis: "Read the sandbox runs", Help: `
A simulation tries a patch on twins: one with the patch, one without. Start
one with "oakum simulate"; a rollout whose policy asks for it starts its own.`},
		{Name: "workload", Synopsis: "Record and read what twins are sent", Help: `
A workload is what the twins of a simulation are sent: recorded requests and their
mix. A policy names its file, as workload = file("web.ndjson").

Record one from an access log, and look at it:

    $ oakum workload record -out=web.ndjson access.log
    $ oakum workload show web.ndjson`},
	}
}

// knowing are the nouns of what is known of the fleet.
func knowing() []command.Family {
	return []command.Family{
		{Name: "graph", Synopsis: "Show which application depends on which", Help: `
The graph is what Oakum knows of the application: services, the edges between
them with the evidence for each, and which targets are critical and why.`},
		{Name: "profile", Synopsis: "Read what is normal for a target", Help: `
A profile holds the baseline of each KPI of a target, learned from Prometheus
and from Nomad.`},
		{Name: "kpi", Synopsis: "Find what the metrics can show", Help: `
A KPI is a measured quantity: an error rate, a latency, a number of threads. Oakum
reads KPIs from Prometheus by queries, and from Nomad.

See what your metrics can show, with the block to paste:

    $ oakum kpi discover

See what the queries in force answer:

    $ oakum kpi check`},
		{Name: "inventory", Synopsis: "Show what is installed", Help: `
An inventory is what is installed in one image or machine: a software bill of
materials, CycloneDX or SPDX as JSON, which a pipeline writes. The cluster keeps them by
the digest of what they describe.

Show one, and what an update changed, offline:

    $ oakum inventory show web.cdx.json
    $ oakum inventory diff web.cdx.json web-new.cdx.json

Have the cluster keep one, and see which targets have one:

    $ oakum inventory put -target=prod/web/vm web.cdx.json
    $ oakum inventory list -targets`},
		{Name: "vulnerability", Synopsis: "Show where faults are, and where they are fixed", Help: `
A vulnerability is a fault with a name, which patches fix and advisories are about. The
cluster compares what is installed in each target with them.

    $ oakum vulnerability list
    $ oakum vulnerability show CVE-2026-0001`},
	}
}
