// Run by Bull and BullMQ in a process of its own.
module.exports = async (job) => {
  await (job.updateProgress ? job.updateProgress(50) : job.progress(50));
  return { pidIsAnother: process.pid !== job.data.pid, n: job.data.n };
};
