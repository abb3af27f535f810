"""What a plan for Windows does, a module each, as in plan.steps for Linux (plan.discovery). Each makes its steps from
templates/windows/GENERATION (plan.batch)."""
