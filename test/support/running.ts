/** How global-teardown.ts stops what global-setup.ts started. */
export const running: { stop?: () => Promise<void> } = {};
