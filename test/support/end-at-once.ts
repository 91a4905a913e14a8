/**
 * Loaded into jest's workers before all else. A worker has half a second to end, and takes longer to free, piece by piece, what
 * dozens of files with a whole Tunnus each have left in its memory: it ends without.
 */
if (process.env['JEST_WORKER_ID']) process.on('exit', () => process.exit());
